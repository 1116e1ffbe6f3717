"""chat.py COMMAND: `quernel chat` through pipes: history, files, wrong words, Ctrl-C."""

import json
import signal
import subprocess
import sys
import unittest

import cli
from cli import DATA, USAGE, Case, data_path


class Chat(Case):
    def words(self, *more):
        model, tokenizer = data_path("stories260K.bin"), data_path("tok512.bin")
        first = ["chat", "--model", model, "--tokenizer", tokenizer, "--temperature", "0"]
        return [*first, *more]

    def talk(self, lines, *more):
        """The replies, and standard error."""
        words = self.words("--json", "--template", "llama2", *more)
        result = self.good(*words, stdin="".join(line + "\n" for line in lines).encode())
        return [json.loads(line) for line in result.stdout.splitlines()], result.stderr.decode()

    def test_history_is_read_once(self):
        replies, _ = self.talk(["Once upon a time", "And then?", "And then?"], "--tokens", "12")
        self.assertEqual([r["role"] for r in replies], ["assistant"] * 3)
        for reply in replies:
            self.assertEqual((reply["tokens"], reply["stop"]), (12, "tokens"))
        self.assertEqual(replies[1]["prompt_tokens"], replies[2]["prompt_tokens"])
        whole, _ = self.talk(["/load " + self.saved(replies), "And then?"], "--tokens", "12")
        self.assertGreater(whole[0]["prompt_tokens"], replies[2]["prompt_tokens"] + 24)

    def saved(self, replies):
        asked = ["Once upon a time", "And then?"]
        talk = []
        for question, reply in zip(asked, replies):
            talk.append({"role": "user", "content": question})
            talk.append({"role": "assistant", "content": reply["content"]})
        return self.write("talk.json", json.dumps({"messages": talk}))

    def test_text_is_what_json_says(self):
        replies, _ = self.talk(["Tell me"], "--tokens", "30")
        words = self.words("--template", "llama2", "--tokens", "30")
        plain = self.good(*words, stdin=b"Tell me\n").stdout.decode()
        self.assertEqual(plain, replies[0]["content"] + "\n")

    def test_save_load_regen_reset(self):
        path = self.path("saved.json")
        lines = ["Hello", "/regen", f"/save {path}", "/reset", f"/load {path}", "More", "/stats"]
        replies, notes = self.talk(lines, "--system", "Tell stories.", "--tokens", "8")
        self.assertEqual(len(replies), 3)
        with open(path, encoding="utf-8") as file:
            talk = json.load(file)["messages"]
        self.assertEqual([m["role"] for m in talk], ["system", "user", "assistant"])
        self.assertEqual(talk[2]["content"], replies[1]["content"])
        self.assertEqual(replies[0]["content"], replies[1]["content"])  # temperature 0
        self.assertIn("5 messages", notes)
        self.assertIn("template llama2", notes)

    def test_wrong_words_do_not_end_it(self):
        lines = ["/foo", "/save", "/regen", "/load /nowhere/at/all", "/helpp", "/help", "", "Hi"]
        replies, notes = self.talk(lines, "--tokens", "4")
        self.assertEqual(len(replies), 1)
        for word in (
            "no /foo",
            "/save needs",
            "no reply",
            "/nowhere",
            "did you mean /help",
            "/stats",
        ):
            self.assertIn(word, notes)
        bad = self.write("bad.json", '{"messages": [{"role": "robot", "content": "x"}]}')
        replies, notes = self.talk([f"/load {bad}", "Hi", "/exit", "never"], "--tokens", "4")
        self.assertEqual(len(replies), 1)
        self.assertIn("bad.json", notes)

    def test_stop_text(self):
        replies, _ = self.talk(["Once upon a time"], "--tokens", "60")
        text = replies[0]["content"]
        for at in (5, 17, len(text) // 2):
            stop = text[at : at + 4]
            cut, _ = self.talk(["Once upon a time"], "--tokens", "60", "--stop", stop)
            self.assertEqual(cut[0]["content"], text[: text.index(stop)])
            self.assertEqual(cut[0]["stop"], "stop")
        two = ("--stop", text[30:33], "--stop", text[10:13])
        cut, _ = self.talk(["Once upon a time"], "--tokens", "60", *two)
        first = min(text.index(text[30:33]), text.index(text[10:13]))
        self.assertEqual(cut[0]["content"], text[:first])

    def test_generate_stops(self):
        model, tokenizer = data_path("stories260K.bin"), data_path("tok512.bin")
        words = ["generate", "--model", model, "--tokenizer", tokenizer, "--temperature", "0"]
        words += ["--tokens", "80", "--json"]
        text = json.loads(self.good(*words).stdout)["text"]
        for at in (3, 40, len(text) - 6):
            stop = text[at : at + 5]
            cut = json.loads(self.good(*words, "--stop", stop).stdout)
            self.assertEqual((cut["text"], cut["stop"]), (text[: text.index(stop)], "stop"))
        early, late = text[20:25], text[40:45]
        for stops in ((early, late), (late, early), ("never", late, early)):
            flags = [word for stop in stops for word in ("--stop", stop)]
            cut = json.loads(self.good(*words, *flags).stdout)
            first = min(text.index(early), text.index(late))
            self.assertEqual((cut["text"], cut["stop"]), (text[:first], "stop"))
        self.bad(USAGE, *words, *["--stop", "x"] * 33, says="more than 32 times")
        whole = json.loads(self.good(*words, "--stop", text[-3:] + "never").stdout)
        self.assertEqual((whole["text"], whole["stop"]), (text, "tokens"))
        self.bad(USAGE, *words, "--stop", "", says="stop string")

    def test_grammar(self):
        grammar = 'root ::= "The " ("cat" | "dog") " said " [a-z]{3} "."'
        for words in (["--grammar", grammar], ["--grammar", self.write("g.gbnf", grammar)]):
            replies, _ = self.talk(["Once upon a time", "And then?"], *words)
            for reply in replies:
                self.assertRegex(reply["content"], "^The (cat|dog) said [a-z]{3}[.]$")
                self.assertIn(reply["stop"], ("grammar", "end"))
        schema = '{"enum": ["yes", "no"]}'
        replies, _ = self.talk(["Is it?"], "--json-schema", schema)
        self.assertIn(json.loads(replies[0]["content"]), ("yes", "no"))
        self.bad(USAGE, *self.words("--json-schema", schema, "--json-object"), says="choose one")
        self.bad(DATA, *self.words("--grammar", "root ::= nothing"), says="nothing")

    def test_full_context(self):
        more = ("--tokens", "16", "--context", "96", "--system", "S")
        for words, says in (((), "are dropped"), (("--no-context-shift",), "left out")):
            replies, notes = self.talk(["One day there was a cat."] * 6, *more, *words)
            self.assertEqual(len(replies), 6)
            self.assertIn(says, notes)
            for reply in replies:
                self.assertGreater(reply["tokens"], 0)
        reply, notes = self.talk(["Once upon a time"], "--tokens", "150", "--context", "64")
        self.assertTrue(reply[0]["tokens"] == 150 or reply[0]["stop"] == "end", reply)
        self.assertEqual(notes.count("are dropped"), 1)
        replies, notes = self.talk(["word " * 200, "Hi"], *more)
        self.assertEqual(len(replies), 1)
        self.assertIn("too many for a context of 96", notes)

    def test_wrong_flags(self):
        words = self.words("--template", "lama")
        self.bad(USAGE, *words, says=('"lama"', "chatml", "gemma"))
        self.bad(USAGE, *self.words("--stop", ""), stdin=b"Hi\n", says="--stop")
        self.bad(USAGE, "chat", says="--model")
        self.bad(DATA, "chat", "--model", self.write("x.gguf", b"GGUF\x03"), says="x.gguf")

    def test_control_c(self):
        """In a reply it ends the reply; at the prompt the conversation."""
        for _ in range(8):
            words = self.words("--json", "--template", "llama2", "--tokens", "500")
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            with subprocess.Popen([cli.COMMAND, *words], **pipes) as run:
                run.stdin.write(b"Hello\n")
                run.stdin.flush()
                run.stdout.readline()
                run.stdin.write(b"And a long, long story please\n")
                run.stdin.flush()
                try:
                    run.wait(0.02)
                except subprocess.TimeoutExpired:
                    run.send_signal(signal.SIGINT)
                line = run.stdout.readline()
                self.assertIsNone(run.poll())
                stopped = json.loads(line)["stop"] == "interrupted" if line else False
                if stopped:
                    run.stdin.write(b"Hello\n")
                    run.stdin.flush()
                    self.assertEqual(json.loads(run.stdout.readline())["role"], "assistant")
                    run.send_signal(signal.SIGINT)
                run.stdin.close()
                self.assertEqual(run.wait(60), 0)
            if stopped:
                return
        self.fail("no reply was stopped in eight tries")


if __name__ == "__main__":
    cli.COMMAND = sys.argv.pop(1)
    unittest.main(verbosity=2)
