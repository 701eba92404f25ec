"""What the catalogue knows of every mistake."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bug:
    """One mistake that people make when they carry an encoder, or its training, between frameworks.

    Attributes:
        name: unique in the catalogue.
        mistake: what is wrong, to follow "looks like".
        where: a regular expression, matched whole: the sites at which it is made, as far as it is made at any.
        source: where it was reported, or "" if it is merely possible.
    """

    name: str
    mistake: str
    where: str
    source: str = ""
