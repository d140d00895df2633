"""The two text encoders and their one vocabulary.

A byte-level BPE refuses no prompt; the label of each concept is one token besides, since captions are written in a
grammar of ours (`limner.engines.mini_scene`) and a thing that is one vector is learnt from far fewer pictures. As in
FLUX, a T5 encoder gives the sequence (no attention mask: padding is seen, so the padded length is part of the model)
and a CLIP encoder gives the pooled vector at the end-of-text token (causal, so its padding does not matter).
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

from limner.engines.mini_scene import COLOURS, NUMBERS, PLACES, SIDES, SIZES, STYLES

PAD, END, START = "<pad>", "</s>", "<s>"
# Pieces of BPE, and room for the labels after them.
PIECES, VOCABULARY = 512, 2048
# Padded length that the model is trained with: colours and grounds are the engine's.
LENGTH = 8


def make_tokenizer(labels: Iterable[str]) -> Tokenizer:
    """BPE pieces that hold the grammar's words whole, then one token for each of `labels`, with the space before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=[PAD, END, START],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    grammar = (*NUMBERS, *COLOURS, *SIZES, *SIDES, *STYLES, *PLACES.values(), "an", "and", ",", "on a background")
    tokenizer.train_from_iterator(grammar, trainer)
    tokenizer.add_tokens([AddedToken(label, single_word=True, lstrip=True, normalized=True) for label in labels])
    if tokenizer.get_vocab_size() > VOCABULARY:
        raise ValueError(f"{tokenizer.get_vocab_size()} tokens do not fit in {VOCABULARY}")
    return tokenizer


def labels_of(checkpoint: Path) -> frozenset[str]:
    """What a checkpoint has a token for."""
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer_2/tokenizer.json"))
    return frozenset(token.content for token in tokenizer.get_added_tokens_decoder().values())


def t5_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    own = Tokenizer.from_str(tokenizer.to_str())
    own.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=own, pad_token=PAD, eos_token=END, model_max_length=LENGTH)


def clip_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    own = Tokenizer.from_str(tokenizer.to_str())
    own.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, 2), (END, 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token=PAD, eos_token=END, bos_token=START, model_max_length=LENGTH
    )


def t5(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=VOCABULARY, d_model=width, d_kv=64, d_ff=2 * width, num_layers=2, num_heads=width // 64,
            feed_forward_proj="gated-gelu", dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
            relative_attention_num_buckets=16, relative_attention_max_distance=32,
        )
    )  # fmt: skip


def clip(width: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=1,
            num_attention_heads=width // 32, max_position_embeddings=LENGTH, projection_dim=width,
            pad_token_id=0, eos_token_id=1, bos_token_id=2,
        )
    )  # fmt: skip
