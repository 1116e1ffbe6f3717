/* Writes little stories: enough text to train a small language model on, made up on the spot.
 *
 *     stories --seed 1 --megabytes 3 > stories.txt
 *
 * The same seed gives the same stories. A story is a plot: a few sentences in which
 *
 *     [a|b|c]   is one of a, b and c, chosen anew each time,
 *     {name}    is the story's own word for "name", the same all through it,
 *     ?         before a sentence means that it is told in half of the stories only.
 *
 * Each story is one paragraph on one line, followed by the line <|endoftext|>, which the tokenizers
 * of the engine read as one token that parts texts. --end "" leaves a blank line instead. */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static const char *const girls[] = {"Mia",   "Lena",  "Ruby",  "Nora", "Tilda", "Wren", "Ida",
                                    "Cleo",  "Hazel", "Freya", "Olga", "Pia",   "Suki", "Amara",
                                    "Betty", "Greta", "Jana",  "Kira", "Lotte", "Zoe"};
static const char *const boys[] = {"Tom",   "Otto",  "Finn",  "Hugo",  "Milo",  "Emil", "Oscar",
                                   "Arlo",  "Jonas", "Kofi",  "Bruno", "Felix", "Ravi", "Theo",
                                   "Anton", "Leo",   "Pelle", "Samir", "Viggo", "Abel"};
static const char *const animals[] = {
    "fox",    "rabbit", "bear",   "mouse",  "duck",  "frog", "hedgehog", "squirrel",
    "badger", "goat",   "turtle", "kitten", "puppy", "mole", "beaver",   "sparrow"};
static const char *const natures[] = {"little", "small",    "clever", "shy",     "brave", "curious",
                                      "quiet",  "cheerful", "kind",   "careful", "busy",  "dreamy"};
/* Where, as "in the garden", and the place itself. */
static const char *const places[][2] = {
    {"in the garden", "the garden"},       {"by the river", "the river"},
    {"in the forest", "the forest"},       {"on the hill", "the hill"},
    {"at the beach", "the beach"},         {"in the barn", "the barn"},
    {"near the old mill", "the old mill"}, {"under the oak tree", "the oak tree"},
    {"in the park", "the park"},           {"at the market", "the market"},
    {"by the pond", "the pond"},           {"in the meadow", "the meadow"},
    {"behind the house", "the yard"},      {"at the harbor", "the harbor"},
    {"in the orchard", "the orchard"},     {"on the bridge", "the bridge"}};
static const char *const looks[] = {"red",    "blue",    "yellow", "green", "shiny",  "tiny",
                                    "wooden", "striped", "golden", "soft",  "silver", "round"};
static const char *const things[] = {"ball", "kite",  "boat",    "drum",    "bell",   "lantern",
                                     "hat",  "scarf", "whistle", "basket",  "button", "book",
                                     "key",  "cup",   "flute",   "blanket", "box",    "wagon"};
static const char *const foods[] = {"apples",      "berries",     "pears",   "nuts",
                                    "pancakes",    "cherries",    "carrots", "plums",
                                    "honey cakes", "fresh rolls", "cookies", "sweet peas"};
static const char *const fears[] = {"the dark",          "the thunder", "deep water",
                                    "high places",       "loud noises", "the big dog",
                                    "the wind at night", "strangers"};
static const char *const works[] = {
    "a raft", "a tower of stones", "a small house", "a swing", "a bridge over the ditch", "a sled",
    "a tent", "a boat of bark",    "a snow castle", "a bench"};
static const char *const seeds[] = {"a sunflower", "a pumpkin",   "a bean",  "an apple tree",
                                    "a rose",      "a pea plant", "a melon", "a tulip"};
static const char *const elders[] = {"mother",      "father", "grandmother",
                                     "grandfather", "aunt",   "uncle"};
static const char *const hurt_ones[] = {"bird",   "butterfly", "snail", "lamb",
                                        "beetle", "chick",     "bat",   "gosling"};

/* ---- plots ---- */

#define OPENING                                                                                    \
    "[Once upon a time there was|One day there was|Long ago there lived|There was once|In a "      \
    "small town there lived] {a_hero} named {hero}."

static const char *const lost[] = {
    OPENING,
    "{He} had {a_thing} and [took it everywhere|loved it more than anything|played with it every "
    "day].",
    "One [morning|evening|sunny day|windy day], {hero} [played|was playing] {at_place}, and "
    "[suddenly|then] the {noun} was gone.",
    "?{He} looked [left and right|under every leaf|behind every stone] and began to [cry|worry].",
    "{friend} the {kind2} came by and asked, \"[Why are you so sad|What is wrong|What are you "
    "looking for], {hero}?\"",
    "\"I [lost|cannot find] my {thing},\" said {hero}.",
    "\"[Do not worry|Do not cry|Let us look together],\" said {friend}. \"[I will help you|Two can "
    "see more than one|We will find it].\"",
    "They looked [all day|for a long time|everywhere] and found the {noun} [in a bush|in the tall "
    "grass|under a bench|behind a fence|next to a puddle].",
    "{hero} was so [happy|glad] that {he} [hugged|thanked] {friend}, and [they played together "
    "until dark|they shared {food} on the way home|from that day on they were best friends].",
    NULL};

static const char *const sharing[] = {
    OPENING,
    "{He} had a [basket|bag|bowl] full of {food} and wanted to eat them all {at_place}.",
    "Then {he} saw {friend} the {kind2}, who [sat alone|looked hungry|had nothing to eat].",
    "\"[May I have one|Could you give me some], please?\" asked {friend}.",
    "?{hero} thought about it, because {he} [was very hungry too|liked {food} so much].",
    "{hero} [smiled and said|nodded and said|said at last], \"[Of course|Yes], [there is enough "
    "for two|we can share them|sit down with me].\"",
    "So they ate the {food} together and [talked|laughed|told each other stories] until [the sun "
    "went down|the stars came out].",
    "?\"[Food tastes better with a friend|Now I am full and happy],\" said {friend}.",
    "[The next day|Later|A week later], {friend} brought {hero} {a_thing} to say thank you.",
    NULL};

static const char *const fear[] = {
    OPENING,
    "{hero} was afraid of {fear} and [never told anyone|always hid|was a little ashamed of it].",
    "One [night|day|evening], {he} heard {friend} the {kind2} call for help {at_place}.",
    "{hero}'s heart [beat fast|was like a drum], but {he} [took a deep breath|thought of {his} "
    "friend|closed {his} eyes and counted to three].",
    "?\"I am afraid of {fear},\" {he} whispered, \"but {friend} needs me.\"",
    "{He} [ran|went] to {place} and [helped {friend} out of a hole|held out a branch to "
    "{friend}|took {friend} by the hand].",
    "\"You are very brave,\" said {friend}. \"[Thank you|I will never forget it].\"",
    "[After that|From then on], {hero} was [not so afraid of {fear} any more|still a bit afraid of "
    "{fear}, but {he} knew that {he} could be brave].",
    NULL};

static const char *const building[] = {
    OPENING,
    "{hero} and {his} friend {friend} the {kind2} wanted to build {work} {at_place}.",
    "They [worked all morning|carried wood and stones|made a plan], but [then|in the end] it "
    "[broke|fell down|fell apart].",
    "\"It is [too hard|no use],\" said {friend} and sat down on the ground.",
    "\"[Let us try again|We must not give up|We can do better],\" said {hero}.",
    "?{His} {elder} [gave them some rope|showed them how to tie a knot|told them to begin with the "
    "big pieces].",
    "So they [began again|tried once more], [slowly and with care|piece by piece], and this time "
    "it [held|was strong|did not fall].",
    "[In the evening|At last] they [sat in front of it|looked at it] and felt [proud|very proud "
    "and tired|happy].",
    "?\"[We made this ourselves|It was worth the work],\" said {friend}.",
    NULL};

static const char *const healing[] = {
    OPENING,
    "On the way to {place}, {he} found a {hurt} that [could not move|had hurt its leg|was cold and "
    "weak].",
    "\"Poor little {hurt},\" said {hero}. \"I will [take care of you|take you home|help you].\"",
    "{He} [made a bed of leaves|put it into a box|wrapped it in {his} scarf] and gave it "
    "[water|milk|some crumbs].",
    "?{His} {elder} said, \"[Be gentle|It needs sleep|Give it time], {hero}.\"",
    "[After three days|After a week|One morning], the {hurt} was [well again|strong again].",
    "{hero} [brought it back to {place}|opened the window|carried it outside] and [said "
    "goodbye|let it go].",
    "{He} was [a little sad, but also glad|sad and happy at the same time].",
    "?[Every spring|Now and then], the {hurt} came back to visit {him}.",
    NULL};

static const char *const honest[] = {
    OPENING,
    "[Once|On a rainy day|While nobody was at home], {he} played with {a_thing2} of {his} {elder} "
    "and it broke.",
    "{hero} [hid it under the bed|put it in a corner|was scared and hid it] and said nothing.",
    "In the evening {his} {elder} asked, \"[Where is my {noun}|Have you seen my {noun}], {hero}?\"",
    "?{hero}'s face went red, and {he} looked at {his} feet.",
    "\"[I am sorry|I must tell you something],\" said {hero}. \"I broke it.\"",
    "{His} {elder} was [quiet for a while|not angry|a bit sad] and then said, \"[Thank you for "
    "telling the truth|It was right to tell me|A {noun} can be mended].\"",
    "They mended the {noun} together, and {hero} felt [much better|light again|warm inside].",
    NULL};

static const char *const race[] = {
    OPENING,
    "{hero} wanted to win the big race to {place}.",
    "{friend} the {kind2} was [faster|stronger] and [laughed at {him}|said, \"You can never "
    "win\"].",
    "The race began, and {friend} was soon far ahead.",
    "But then {friend} [fell over a root|got stuck in the mud|hurt a foot], and all the others ran "
    "past.",
    "Only {hero} stopped and asked, \"Are you [all right|hurt]?\"",
    "?\"Why do you stop?\" asked {friend}. \"You could have won!\"",
    "{hero} helped {friend} up, and they [walked to the end side by side|came in last, hand in "
    "hand].",
    "[Everyone clapped for them|They got {food} as a prize|The others cheered], and {friend} said, "
    "\"[You are the real winner|I was wrong about you], {hero}.\"",
    NULL};

static const char *const seed[] = {
    OPENING,
    "{His} {elder} gave {him} a seed and said, \"[Water it every day|Be patient|Take good care of "
    "it].\"",
    "{hero} [planted|put] it {at_place} and watered it [every morning|every day].",
    "[One week went by|Many days went by], and nothing happened.",
    "\"[Maybe it is asleep|Maybe it is a bad seed],\" said {friend} the {kind2}.",
    "?But {hero} did not stop and even sang a song for it.",
    "[Then, after the rain|One warm morning], a [tiny|small] green leaf came out of the ground.",
    "It grew and grew, and [in summer|at last] it was {seed}.",
    "{hero} was [full of joy|very proud], and {he} gave {friend} [a new seed from it|a part of it "
    "as a present].",
    NULL};

static const char *const sound[] = {
    OPENING,
    "At night {he} heard a strange sound: \"[Tap, tap, tap|Hoo, hoo|Scratch, scratch|Plop, "
    "plop]!\"",
    "\"[Who is there|What can that be]?\" asked {hero}, but nobody answered.",
    "?{He} pulled the blanket over {his} head and waited.",
    "At last {he} took a [lamp|candle|lantern] and went {slowly} to [the door|the window].",
    "There was only {friend} the {kind2}, who [was cold|had lost the way|could not sleep|wanted to "
    "say goodnight].",
    "\"[You gave me a fright|Oh, it is only you],\" said {hero} and [laughed|smiled].",
    "They [drank warm milk|ate {food}] together, and then they [slept well|slept until "
    "morning|were not afraid any more].",
    NULL};

static const char *const present[] = {
    OPENING,
    "It was the birthday of {his} friend {friend} the {kind2}, but {hero} had no [money|present].",
    "{He} went to {place} and thought [for a long time|hard].",
    "?\"What would make {friend} happy?\" {he} asked {himself}.",
    "Then {he} had an idea and made {a_thing} out of [paper|wood|old things|leaves and string].",
    "At the party, {hero} was [shy|worried], because the other presents were [bigger|much bigger].",
    "But {friend} [opened it and jumped for joy|held it up and smiled] and said, \"[This is the "
    "best one|You made it yourself|I will keep it for ever]!\"",
    "Then they all [ate {food}|danced|sang] {at_place}.",
    NULL};

static const char *const quarrel[] = {
    OPENING,
    "{hero} and {friend} the {kind2} found {a_thing} {at_place}.",
    "\"[It is mine|I saw it first]!\" said {hero}. \"[No, it is mine|No, I saw it first]!\" said "
    "{friend}.",
    "They pulled and pulled until they both fell into the [mud|grass|leaves].",
    "?{hero}'s {elder} saw it and [shook a wise head|laughed].",
    "They looked at each other and [began to laugh|felt silly].",
    "\"[You can have it today, and I tomorrow|Let us play with it together|We can take turns],\" "
    "said {hero}.",
    "And so they did, and the {noun} was [twice as much fun|much more fun for two].",
    NULL};

static const char *const weather[] = {
    OPENING,
    "{hero} wanted to go to {place} with {friend} the {kind2}, but it [rained|snowed|stormed] all "
    "day.",
    "\"[What a boring day|Now everything is spoiled],\" said {friend}.",
    "\"[Wait|Not at all],\" said {hero}. \"[We can play inside|I know a game].\"",
    "They took {a_thing} and some [chairs|pillows|boxes] and made [a ship|a cave|a castle|a train] "
    "out of them.",
    "?They were [sailors|kings|bakers|explorers], and the {noun} was their "
    "[treasure|flag|captain].",
    "When the sun came out again, they did not [even notice|want to go out any more].",
    "\"[I like bad weather|That was the best day],\" said {friend}, and {hero} [agreed|laughed].",
    NULL};

static const char *const *const plots[] = {lost, sharing, fear,  building, healing, honest,
                                           race, seed,    sound, present,  quarrel, weather};

/* ---- chance: splitmix64 (Steele, Lea, Flood 2014) ---- */

static uint64_t state;

static uint64_t next_random(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(size_t count)
{
    return (size_t)((next_random() >> 11) % count);
}

#define PICK(list) (list)[below(sizeof(list) / sizeof(list)[0])]

/* ---- a story ---- */

typedef struct word {
    const char *name;
    char text[128];
} word;

enum { MAX_WORDS = 40 };

typedef struct story {
    word words[MAX_WORDS];
    int count;
    char *out; /* grows as the story is told */
    size_t used, room;
} story;

static void set(story *s, const char *name, const char *before, const char *text)
{
    if (s->count == MAX_WORDS) abort();
    word *w = &s->words[s->count++];
    w->name = name;
    snprintf(w->text, sizeof w->text, "%s%s", before, text);
}

static const char *article(const char *noun)
{
    return strchr("aeiou", noun[0]) ? "an " : "a ";
}

/* Everything that must stay the same through one story. */
static void cast(story *s)
{
    char text[96];
    bool girl = below(2) == 0, animal = below(2) == 0;
    const char *hero = girl ? PICK(girls) : PICK(boys), *friend_name = hero,
               *nature = PICK(natures);
    const char *kind = animal ? PICK(animals) : girl ? "girl" : "boy", *kind2 = kind;
    size_t place = below(sizeof places / sizeof places[0]);
    while (friend_name == hero) friend_name = below(2) ? PICK(girls) : PICK(boys);
    while (kind2 == kind) kind2 = PICK(animals);
    s->count = 0;
    set(s, "hero", "", hero);
    snprintf(text, sizeof text, "%s %s", nature, kind);
    set(s, "a_hero", article(nature), text);
    set(s, "friend", "", friend_name);
    set(s, "kind2", "", kind2);
    set(s, "he", "", girl ? "she" : "he");
    set(s, "him", "", girl ? "her" : "him");
    set(s, "his", "", girl ? "her" : "his");
    set(s, "himself", "", girl ? "herself" : "himself");
    set(s, "at_place", "", places[place][0]);
    set(s, "place", "", places[place][1]);
    const char *look = PICK(looks), *noun = PICK(things);
    snprintf(text, sizeof text, "%s %s", look, noun);
    set(s, "noun", "", noun);
    set(s, "thing", "", text);
    set(s, "a_thing", article(look), text);
    set(s, "a_thing2", "the ", text);
    set(s, "food", "", PICK(foods));
    set(s, "fear", "", PICK(fears));
    set(s, "work", "", PICK(works));
    set(s, "seed", "", PICK(seeds));
    set(s, "elder", "", PICK(elders));
    set(s, "hurt", "", PICK(hurt_ones));
    set(s, "slowly", "", below(2) ? "slowly" : "on tiptoe");
}

static void put(story *s, char c)
{
    if (s->used + 1 >= s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->out = realloc(s->out, s->room);
        if (!s->out) {
            fputs("stories: out of memory\n", stderr);
            exit(71);
        }
    }
    s->out[s->used++] = c;
}

/* {name}; {Name} begins with a capital. */
static const char *put_word(story *s, const char *at)
{
    char name[32];
    size_t length = strcspn(at, "}");
    snprintf(name, sizeof name, "%.*s", (int)length, at);
    bool capital = isupper((unsigned char)name[0]);
    name[0] = (char)tolower((unsigned char)name[0]);
    for (int i = 0; i < s->count; i++) {
        if (strcmp(s->words[i].name, name) != 0) continue;
        const char *text = s->words[i].text;
        for (size_t c = 0; text[c]; c++)
            put(s, c == 0 && capital ? (char)toupper((unsigned char)text[c]) : text[c]);
        return at + length + 1;
    }
    fprintf(stderr, "stories: no word for {%s}\n", name);
    exit(70);
}

/* From just behind "[" to just behind its "]": the alternative with this index, or none for -1;
 * *count is how many there are. Alternatives hold {words}, and no brackets. */
static const char *put_choice(story *s, const char *at, int index, int *count)
{
    *count = 1;
    while (*at != ']') {
        if (*at == '|') {
            ++*count;
            at++;
        } else if (*at == '{') {
            at = *count - 1 == index ? put_word(s, at + 1) : at + strcspn(at, "}") + 1;
        } else {
            if (*count - 1 == index) put(s, *at);
            at++;
        }
    }
    return at + 1;
}

static void put_sentence(story *s, const char *at)
{
    int count;
    while (*at) {
        if (*at == '[') {
            put_choice(s, at + 1, -1, &count);
            at = put_choice(s, at + 1, (int)below((size_t)count), &count);
        } else if (*at == '{') {
            at = put_word(s, at + 1);
        } else {
            put(s, *at++);
        }
    }
}

static void tell(story *s)
{
    const char *const *plot = PICK(plots);
    cast(s);
    s->used = 0;
    for (int i = 0; plot[i]; i++) {
        bool sometimes = plot[i][0] == '?';
        if (sometimes && below(2) == 0) continue;
        if (i > 0) put(s, ' ');
        put_sentence(s, plot[i] + sometimes);
    }
}

/* ---- the program ---- */

static int usage(FILE *out, int code)
{
    fputs("usage: stories [--seed S] [--megabytes M] [--end TEXT] > stories.txt\n", out);
    return code;
}

int main(int argc, char **argv)
{
    const char *end_line = "<|endoftext|>";
    double megabytes = 3, written = 0;
    state = 1;
    for (int i = 1; i < argc; i++) {
        char *rest = "";
        if (strcmp(argv[i], "--help") == 0) return usage(stdout, 0);
        if (i + 1 == argc) return usage(stderr, 64);
        if (strcmp(argv[i], "--seed") == 0) state = strtoull(argv[++i], &rest, 10);
        else if (strcmp(argv[i], "--megabytes") == 0) megabytes = strtod(argv[++i], &rest);
        else if (strcmp(argv[i], "--end") == 0) end_line = argv[++i];
        else return usage(stderr, 64);
        if (*rest || !(megabytes >= 0 && megabytes <= 1e6)) return usage(stderr, 64);
    }
    story s = {0};
    while (written < megabytes * 1e6 && !ferror(stdout)) {
        tell(&s);
        put(&s, 0);
        written += (double)printf("%s\n%s\n", s.out, end_line);
    }
    free(s.out);
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    fputs("stories: cannot write to standard output\n", stderr);
    return 73;
}
