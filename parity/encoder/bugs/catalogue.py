"""All mistakes in the model that the harness knows by name."""

from parity.encoder.bugs.attention import ATTENTION_BUGS
from parity.encoder.bugs.backward import BACKWARD_BUGS
from parity.encoder.bugs.classifier import CLASSIFIER_BUGS
from parity.encoder.bugs.dropout import DROPOUT_BUGS
from parity.encoder.bugs.embedding import EMBEDDING_BUGS
from parity.encoder.bugs.layers import LAYER_BUGS
from parity.encoder.bugs.loading import LOADING_BUGS
from parity.encoder.bugs.masks import MASK_BUGS
from parity.encoder.bugs.mlp import MLP_BUGS
from parity.encoder.bugs.model import ModelBug
from parity.encoder.bugs.norm import NORM_BUGS
from parity.encoder.bugs.relative import RELATIVE_BUGS
from parity.encoder.bugs.rotary import ROTARY_BUGS
from parity.encoder.bugs.sharing import SHARING_BUGS
from parity.errors import UsageError

# Where two explain a difference equally well, the earlier is named: what is special stands before what is general.
MODEL_BUGS: tuple[ModelBug, ...] = (
    *NORM_BUGS,
    *MLP_BUGS,
    *ATTENTION_BUGS,
    *ROTARY_BUGS,
    *RELATIVE_BUGS,
    *MASK_BUGS,
    *DROPOUT_BUGS,
    *EMBEDDING_BUGS,
    *BACKWARD_BUGS,
    *SHARING_BUGS,
    *CLASSIFIER_BUGS,
    *LAYER_BUGS,
    *LOADING_BUGS,
)


def find(name: str) -> ModelBug:
    """The mistake of that name.

    Raises:
        UsageError: there is none.
    """
    known = {bug.name: bug for bug in MODEL_BUGS}
    if name not in known:
        raise UsageError(f"no bug is called {name}; there are: {', '.join(known)}")
    return known[name]
