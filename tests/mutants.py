"""A module's mutants: its source with one operator, constant, condition or statement changed at a time."""

import ast
import builtins
import copy
import itertools
from collections.abc import Iterator
from typing import NamedTuple

_COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_CALLED = {
    one: other
    for pair in (
        ("min", "max"),
        ("any", "all"),
        ("argmin", "argmax"),
        ("minimum", "maximum"),
        ("startswith", "endswith"),
    )
    for one, other in (pair, pair[::-1])
}
_WIDE = 60


class Mutant(NamedTuple):
    """One change to a module.

    Attributes:
        line: where it is.
        lines: of the statement that it is in, all of them.
        text: the line as it is written.
        change: what becomes what.
        tree: the module with the change.
    """

    line: int
    lines: range
    text: str
    change: str
    tree: ast.Module

    @property
    def source(self) -> str:
        return ast.unparse(ast.fix_missing_locations(self.tree))


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines.

    Left alone is what computes nothing: documentation, annotations, unions of types, decorators, assertions, and the
    `strict` of a zip, which guards what nobody can call wrongly.
    """
    tree, written = ast.parse(source), source.splitlines()
    for place in sorted(_places(tree), key=lambda place: (place[-1].lineno, place[-1].col_offset)):
        node = place[-1]
        statement = next(one for one in reversed(place) if isinstance(one, ast.stmt))
        for changed in _changes(node):
            text, change = written[node.lineno - 1].strip(), _described(place, changed)
            yield Mutant(node.lineno, _lines(statement), text, change, _with(place, changed))


def _places(node: ast.AST, above: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, ...]]:
    """Every node that may be changed, after those that it is in."""
    place = (*above, node)
    if hasattr(node, "lineno"):
        yield place
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list", "bases"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _computes_nothing(child):
                    yield from _places(child, place)


def _computes_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        right = ast.unparse(node.right)
        return isinstance(node.op, ast.BitOr) and (right == "None" or isinstance(getattr(builtins, right, 0), type))
    documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return documentation or isinstance(node, ast.Assert) or (isinstance(node, ast.keyword) and node.arg == "strict")


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in the node's place, one after the other."""
    for kind, change in _BY_KIND.items():
        if isinstance(node, kind):
            yield from change(node)
    test = getattr(node, "test", None)
    if test is not None and not isinstance(test, ast.Compare) and not _is_not(test):
        yield _replaced(node, test=ast.UnaryOp(ast.Not(), test))
    for i, loop in enumerate(getattr(node, "generators", ())):
        for other in _filters(loop):
            yield _replaced(node, generators=[*node.generators[:i], other, *node.generators[i + 1 :]])


def _filters(loop: ast.comprehension) -> Iterator[ast.comprehension]:
    """One condition left out, or turned round."""
    for i, test in enumerate(loop.ifs):
        yield _replaced(loop, ifs=[*loop.ifs[:i], *loop.ifs[i + 1 :]])
        if not isinstance(test, ast.Compare) and not _is_not(test):
            yield _replaced(loop, ifs=[*loop.ifs[:i], ast.UnaryOp(ast.Not(), test), *loop.ifs[i + 1 :]])


def _is_not(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for i, op in enumerate(node.ops):
        for other in _COMPARISONS[type(op)]:
            yield _replaced(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[ast.AST]:
    if type(node.op) in _ARITHMETIC:
        yield _replaced(node, op=_ARITHMETIC[type(node.op)]())
    if isinstance(node, ast.AugAssign):
        yield ast.Pass()


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _replaced(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    for i in range(len(node.values)):
        rest = [*node.values[:i], *node.values[i + 1 :]]
        yield rest[0] if len(rest) == 1 else _replaced(node, values=rest)


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        others: tuple[object, ...] = (not value,)
    elif isinstance(value, int):
        others = (value + 1, value - 1)
    elif isinstance(value, float):
        others = (value * 2, value / 2) if value else (1.0,)
    elif isinstance(value, str):
        others = ("" if value else "X",)
    else:
        others = ()
    yield from map(ast.Constant, others)


def _call(node: ast.Call) -> Iterator[ast.AST]:
    name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
    if name in _CALLED:
        field = "id" if isinstance(node.func, ast.Name) else "attr"
        yield _replaced(node, func=_replaced(node.func, **{field: _CALLED[name]}))
    for i, keyword in enumerate(node.keywords):
        flag = isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)
        if keyword.arg not in (None, "strict") and not flag:
            yield _replaced(node, keywords=[*node.keywords[:i], *node.keywords[i + 1 :]])


def _returned(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield ast.Return(ast.Constant(None))


def _statement(node: ast.Expr | ast.Raise | ast.Assign) -> Iterator[ast.AST]:
    """Left out: where its effect is all that it has."""
    if not isinstance(node, ast.Assign) or isinstance(node.targets[0], ast.Subscript | ast.Attribute):
        yield ast.Pass()


def _jump(node: ast.Break | ast.Continue) -> Iterator[ast.AST]:
    yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()


_BY_KIND = {
    ast.Compare: _comparison,
    (ast.BinOp, ast.AugAssign): _arithmetic,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    ast.Call: _call,
    ast.Return: _returned,
    (ast.Expr, ast.Raise, ast.Assign): _statement,
    (ast.Break, ast.Continue): _jump,
}


def _replaced(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _with(place: tuple[ast.AST, ...], changed: ast.AST) -> ast.Module:
    """The module with another node at the end of a way down."""
    for parent, child in zip(place[-2::-1], place[:0:-1], strict=True):
        changed = _with_child(parent, child, changed)
    assert isinstance(changed, ast.Module)
    return changed


def _with_child(parent: ast.AST, child: ast.AST, new: ast.AST) -> ast.AST:
    for name, value in ast.iter_fields(parent):
        if value is child:
            return _replaced(parent, **{name: new})
        if isinstance(value, list) and any(one is child for one in value):
            return _replaced(parent, **{name: [new if one is child else one for one in value]})
    raise AssertionError("a node is in the one above it")


def _described(place: tuple[ast.AST, ...], changed: ast.AST) -> str:
    """The change with as much around it as is short."""
    before = place[-1]
    if isinstance(before, ast.If | ast.While):
        before, changed = before.test, changed.test
    for parent in place[-2::-1]:
        # Releases of Python write what stands in an f-string in different ways.
        if not isinstance(parent, ast.expr | ast.keyword) or isinstance(parent, ast.FormattedValue):
            break
        if len(ast.unparse(parent)) > _WIDE:
            break
        before, changed = parent, _with_child(parent, before, changed)
    old, new = _text(before), _text(changed)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    if len(old) > 2 * _WIDE and same > _WIDE:
        old, new = f"...{old[same - 20 :]}", f"...{new[same - 20 :]}"
    return f"{_cut(old)} -> {_cut(new)}"


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _WIDE else f"{text[: 2 * _WIDE]}..."


def _lines(statement: ast.stmt) -> range:
    """Of a statement with a body, its head alone."""
    body = getattr(statement, "body", None)
    return range(statement.lineno, body[0].lineno if body else statement.end_lineno + 1)
