"""The families that are read and written; one file each."""

from jax_encoder.huggingface.families import (
    albert,
    bert,
    deberta,
    distilbert,
    electra,
    esm,
    eurobert,
    gte,
    jina_bert,
    modernbert,
    mpnet,
    neobert,
    nomic_bert,
    roberta,
    t5,
    xlm_roberta_xl,
)
from jax_encoder.huggingface.family import Family

# Where several can express an encoder, the first is written.
FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (
        bert,
        roberta,
        distilbert,
        electra,
        albert,
        mpnet,
        modernbert,
        eurobert,
        deberta,
        t5,
        jina_bert,
        esm,
        xlm_roberta_xl,
        nomic_bert,
        gte,
        neobert,
    )
}
