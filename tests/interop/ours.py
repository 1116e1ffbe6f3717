"""Our library through ctypes, for the tests against others. argv[1] is the build folder."""

import ctypes
import pathlib
import sys

import numpy as np

BUILD = pathlib.Path(sys.argv[1]).resolve()
QUERNEL = BUILD / "quernel"
LIB = ctypes.CDLL(str(BUILD / "libquernel.so"))
LIB.qn_last_error.restype = ctypes.c_char_p


def must(status):
    if status != 0:
        raise SystemExit(f"status {status}: {LIB.qn_last_error().decode()}")


class Options(ctypes.Structure):
    """qn_model_options"""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("adapter", ctypes.c_char_p),
        ("context", ctypes.c_int32),
        ("type", ctypes.c_char_p),
        ("cache_type", ctypes.c_char_p),
        ("sequences", ctypes.c_int32),
        ("cache_tokens", ctypes.c_int32),
    ]


class Ours:
    """A model of ours; all logits of a sequence, or piece by piece through the cache."""

    def __init__(self, folder, adapter=None):
        self.device, self.model = ctypes.c_void_p(), ctypes.c_void_p()
        must(LIB.qn_device_open(None, ctypes.byref(self.device)))
        options = Options(ctypes.sizeof(Options), str(adapter).encode() if adapter else None)
        path = str(folder).encode()
        must(LIB.qn_model_open(self.device, path, ctypes.byref(options), ctypes.byref(self.model)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        LIB.qn_model_destroy(ctypes.byref(self.model))
        LIB.qn_device_close(ctypes.byref(self.device))

    def logits(self, tokens, vocab):
        ids = (ctypes.c_int32 * len(tokens))(*tokens)
        out = np.zeros((len(tokens), vocab), np.float32)
        address = out.ctypes.data_as(ctypes.c_void_p)
        must(LIB.qn_model_logits(self.model, ids, ctypes.c_size_t(len(tokens)), address))
        return out

    def fed(self, tokens, vocab, pieces):
        """Logits after each piece, [pieces, vocab]."""
        session, rows, at = ctypes.c_void_p(), [], 0
        must(LIB.qn_session_create(self.model, None, ctypes.byref(session)))
        for piece in pieces:
            ids = (ctypes.c_int32 * piece)(*tokens[at : at + piece])
            address = ctypes.POINTER(ctypes.c_float)()
            must(LIB.qn_session_feed(session, ids, ctypes.c_size_t(piece)))
            must(LIB.qn_session_logits(session, ctypes.byref(address)))
            rows.append(np.ctypeslib.as_array(address, (vocab,)).copy())
            at += piece
        LIB.qn_session_destroy(ctypes.byref(session))
        return np.stack(rows)

    def save(self, folder):
        must(LIB.qn_model_save(self.model, str(folder).encode()))
