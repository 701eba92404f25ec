"""What is put side by side, as data: an encoder, what stands on it, and whether it is trained or deployed."""

from typing import NamedTuple

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig

# BERT's: the first position, without the transform that its pooler is.
PLAIN = ClassifierConfig(num_classes=7, pooling="first", activation=None, transform_bias=False, norm=False)


class Form(NamedTuple):
    """One model in both frameworks.

    Attributes:
        config: of the encoder and of its masked-language-model head.
        pooler: whether BERT's pooler stands on it.
        classifier: what scores classes; None for nothing.
        deployed: whether it runs as it is deployed, without a dropout key whatever its rates are; otherwise a rate
            above 0 drops, as in training.
    """

    config: EncoderConfig
    pooler: bool = True
    classifier: ClassifierConfig | None = PLAIN
    deployed: bool = False

    @property
    def drops(self) -> bool:
        """Whether anything is dropped."""
        config = self.config
        rates = (config.embedding_dropout, config.attention_dropout, config.residual_dropout)
        return any(rates) and not self.deployed

    @classmethod
    def trained(cls, config: EncoderConfig, *, deployed: bool) -> "Form":
        """What pretraining leaves: the encoder with the masked-language-model head alone."""
        return cls(config, pooler=False, classifier=None, deployed=deployed)
