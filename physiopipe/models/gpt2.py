"""A GPT-2 and its tokenizer: from a folder or the Hugging Face Hub, or random weights of a stated size.

Source: Radford et al. 2019, "Language models are unsupervised multitask learners". The weights of
`openai-community/gpt2` are under the MIT licence. Needs `transformers`: `pip install 'physiopipe[methods]'`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from physiopipe.errors import PhysiopipeError
from physiopipe.models.gpt2_body import Body

FILES = (  # what is read of a repository or folder, and nothing else
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
)
_BYTES = 256
_COMPUTED = {  # what the forward pass of gpt2_body takes for granted
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


@dataclass(frozen=True)
class Tokenizer:
    """Texts to token ids."""

    name: str  # "bytes", or "GPT-2" for the byte pairs of a model's own files
    end: int  # id of the end-of-text token, which also pads
    encode: Callable[[Sequence[str]], list[list[int]]]  # ids of each text; nothing is added or cut


class Gpt2(NamedTuple):
    """A body (`transformers.GPT2Model`: blocks and embeddings, no language head) and the tokenizer that fits it."""

    body: Body
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Gpt2Sizes:
    """Sizes of a GPT-2 with random weights; the defaults are those of GPT-2 small (124 M parameters)."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    positions: int = 1024
    vocabulary: int = 50257  # 257 is enough for bytes


def load_gpt2(source: str | Path, *, revision: str | None = None, layers: int | None = None) -> Gpt2:
    """The GPT-2 of a local folder, or of a repository of the Hugging Face Hub where no such folder is.

    Args:
        source: a folder with `config.json`, `*.safetensors` and, if it has one, the tokenizer's files
            (`tokenizer.json`, or `vocab.json` and `merges.txt`); or the Hub's `owner/name`.
        revision: commit, branch or tag on the Hub; a commit makes a run repeatable.
        layers: keep only the first blocks; all by default.

    Float32, on the CPU, in evaluation mode. Weights are read from safetensors alone: no pickle, and no code of the
    repository is run. Without tokenizer files the tokenizer is that of bytes. Raises PhysiopipeError where something
    is missing, is no GPT-2, or leaves a parameter without a weight.
    """
    transformers = _transformers()
    folder = Path(source)
    if not folder.is_dir():
        folder = _fetch(str(source), revision)
    config = _read_config(folder, transformers)
    if layers is not None:
        if not 1 <= layers <= config.n_layer:
            raise PhysiopipeError(f"{layers} layers of {source}, which has {config.n_layer}: ask for 1 to that many.")
        config.n_layer = layers
    if not any(folder.glob("*.safetensors")):
        others = sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".h5"})
        raise PhysiopipeError(
            f"{source} has no *.safetensors (found {', '.join(others) or 'no weights'}): weights are read from that "
            "format alone, because others can run code. Convert them, or take a repository that has it."
        )
    try:
        with _quiet(transformers.utils.logging):
            body, report = transformers.GPT2Model.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    except Exception as error:  # of transformers, safetensors or the system, by where the files differ
        reason = (str(error).strip().splitlines() or [""])[0]
        raise PhysiopipeError(
            f"the weights in {source} cannot be loaded as GPT-2 ({type(error).__name__}: {reason}). Fetch them again, "
            "or name another GPT-2."
        ) from None
    mismatched = (key if isinstance(key, str) else key[0] for key in report["mismatched_keys"])  # names alone before 5
    wrong = sorted(report["missing_keys"]) + [f"{name} (shape)" for name in mismatched]
    wrong += [f"{name} (not finite)" for name, p in body.named_parameters() if not bool(p.isfinite().all())]
    if wrong:
        raise PhysiopipeError(
            f"the weights in {source} leave {len(wrong)} parameters of its GPT-2 without a value, as "
            f"{', '.join(wrong[:3])}: expected all that config.json describes. Name a complete GPT-2."
        )
    return Gpt2(body.eval(), _read_tokenizer(folder, transformers, config.vocab_size))


def random_gpt2(sizes: Gpt2Sizes) -> Gpt2:
    """A GPT-2 of these sizes with random weights, in evaluation mode, and the tokenizer of bytes.

    Weights are drawn from torch's generator (seed it first) by GPT-2's own law: normal with deviation 0.02, in the
    projections back to the residual stream 0.02 / sqrt(2 layers); biases 0, norms 1. Such a body knows no language:
    a result that rests on it should say so.
    """
    if sizes.width % sizes.heads:
        raise PhysiopipeError(f"GPT-2 width {sizes.width} with {sizes.heads} heads: expected a multiple of the heads.")
    transformers = _transformers()
    config = transformers.GPT2Config(
        n_layer=sizes.layers,
        n_embd=sizes.width,
        n_head=sizes.heads,
        n_positions=sizes.positions,
        vocab_size=sizes.vocabulary,
        bos_token_id=sizes.vocabulary - 1,
        eos_token_id=sizes.vocabulary - 1,
    )
    return Gpt2(transformers.GPT2Model(config).eval(), byte_tokenizer(sizes.vocabulary))


def byte_tokenizer(vocabulary: int) -> Tokenizer:
    """A token for each byte of a text's UTF-8, numbered as in GPT-2's own vocabulary, the last token being the end's.

    So, with pretrained weights, a byte finds the embedding that GPT-2 learned for it.
    """
    if vocabulary <= _BYTES:
        raise PhysiopipeError(f"a vocabulary of {vocabulary} tokens: bytes and an end need at least {_BYTES + 1}.")
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]  # GPT-2 numbers these first
    order = printable + sorted(set(range(_BYTES)) - set(printable))
    table = bytes(order.index(byte) for byte in range(_BYTES))
    return Tokenizer("bytes", vocabulary - 1, lambda texts: [list(t.encode().translate(table)) for t in texts])


def _transformers() -> Any:
    try:
        import transformers  # seconds of imports, and only methods with a language model need it
    except ImportError:
        raise PhysiopipeError(
            "transformers is not installed: methods with a language model load GPT-2 by it. "
            "Run: pip install 'physiopipe[methods]'"
        ) from None
    return transformers


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without transformers' own report of what it loaded: what matters of it is checked here."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _fetch(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download  # a second of imports that only this path needs

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # the client lets many kinds through: its own, its HTTP library's, the system's
        reason = (str(error).strip().splitlines() or [""])[0]
        raise PhysiopipeError(
            f"{repository} is no folder here, and could not be fetched from the Hugging Face Hub "
            f"({type(error).__name__}: {reason}). With no connection: download it elsewhere and name its folder, or "
            "take random weights (the table says so)."
        ) from None


def _read_config(folder: Path, transformers: Any) -> Any:
    """The model's config, refused unless it is of a GPT-2 as it is computed here."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PhysiopipeError(f"{path} cannot be read ({error}): expected the config.json of a GPT-2.") from None
    if not isinstance(found, dict) or found.get("model_type") != "gpt2":
        kind = found.get("model_type") if isinstance(found, dict) else found
        raise PhysiopipeError(f"{path} has model_type {kind!r}, expected 'gpt2': name a folder that holds a GPT-2.")
    config = transformers.GPT2Config.from_dict(found)
    for name, value in _COMPUTED.items():
        if getattr(config, name) != value:
            raise PhysiopipeError(
                f"{path} has {name} {getattr(config, name)!r}, expected {value!r} as all sizes of GPT-2 have it: "
                "name one of those."
            )
    return config


def _read_tokenizer(folder: Path, transformers: Any, vocabulary: int) -> Tokenizer:
    has = {path.name for path in folder.iterdir()}
    if not ("tokenizer.json" in has or {"vocab.json", "merges.txt"} <= has):
        return byte_tokenizer(vocabulary)
    try:
        # GPT-2's own class, whatever the files name: a class named there could be the repository's code
        tokenizer = transformers.GPT2TokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of transformers or of its tokenizers library
        reason = (str(error).strip().splitlines() or [""])[0]
        raise PhysiopipeError(
            f"the tokenizer in {folder} cannot be read ({reason}): mend or remove its files."
        ) from None
    end = tokenizer.eos_token_id
    if end is None or len(tokenizer) > vocabulary:
        raise PhysiopipeError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, end-of-text {end}; the model has {vocabulary}: "
            "expected no more than that and an end-of-text token. Name the folder of one model."
        )
    return Tokenizer("GPT-2", end, lambda texts: tokenizer(list(texts), verbose=False)["input_ids"])
