"""A Jinja2 sandbox that counts the work of a rendering and stops it at a bound, whatever the template does.

Three rules make the bound hold:
* each block of statements pays for its parts when it is entered, so loops, macros and recursion pay for each turn;
* each operator, filter, test and method pays for the size of the values that it handles, before it makes larger ones;
* only the methods of `costs.METHODS` can be called, and filters give lists: nothing is made later that was not paid.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from functools import update_wrapper
from traceback import walk_tb
from typing import Any

import msgspec
from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.runtime import BlockReference, Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter, safe_range
from markupsafe import Markup

from relay.templates import costs

MOST_STEPS = 500_000
"""Steps of work that one rendering may take.

Measured on one core of a small server: hostile templates take 0.05 to 0.5 s until they are stopped, so the event loop
goes on soon. A loop over 10 incidents with 100 labels each that sorts, joins and cuts takes 45,000 steps; one over
1,000 incidents with 10 labels each takes 465,000 (a group's message names no more than 10).
"""
MOST_AT_ONCE = 125_000
"""Steps that one operation may take: no text has over 1,000,000 characters, so memory is bounded as well."""
MOST_DEEP = 50
"""Calls within calls: macros that call themselves, recursive loops. Far below the depth that Python allows."""
LONGEST_WORDS = 500
"""Characters of an error that are told: some errors repeat the value that they are about."""
_LISTS = (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)


class TemplateError(ValueError):
    """A template that can't be read or fails; its text says where."""


class BoundError(Exception):
    """A rendering that went over a bound. No filter or test of Jinja2 takes it for a value that does not fit."""


def words_of(error: BaseException) -> str:
    """Tell in words how a template failed, and in which line of it."""
    said = "takes too much memory" if isinstance(error, MemoryError) else str(error)[:LONGEST_WORDS]
    if not isinstance(error, BoundError | TemplateError | MemoryError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == "<template>"]
    return f"line {lines[-1]}: {said}" if lines else said


class BoundedGenerator(CodeGenerator):
    """Generates code that pays for the work of blocks, joins, comparisons and slices."""

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        """Have a block pay for its parts whenever it is entered."""
        block = list(body)
        self.writeline(f"environment.spend({_parts(*block) + 1})")
        super().blockvisit(block, frame)

    def macro_body(self, node: nodes.Macro | nodes.CallBlock, frame: Frame) -> Any:
        """Have a macro pay for its default values: they are made anew for each call."""
        node.body = [nodes.ExprStmt(_payment(*node.defaults), lineno=node.lineno), *node.body]
        return super().macro_body(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 - Jinja2's name
        """Have the condition of a loop pay as well: it runs for items for which the body does not."""
        if node.test is not None:
            node.test = nodes.And(_payment(node.test), node.test, lineno=node.test.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Have `~` pay for what it joins."""
        self.write("environment.joined((")
        for argument in node.nodes:
            self.visit(argument, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        """Have comparisons pay for both sides."""
        self.write("(")
        self._weighed(node.expr, frame)
        for operand in node.ops:
            self.write(f" {operators[operand.op]} ")
            self._weighed(operand.expr, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        """Have keys pay for being hashed."""
        self.write("{")
        for pair in node.items:
            self._weighed(pair.key, frame)
            self.write(": ")
            self.visit(pair.value, frame)
            self.write(", ")
        self.write("}")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        """Have slices pay for what they copy; Jinja2 takes them past `getitem`."""
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.counted(")
        super().visit_Getitem(node, frame)
        self.write(")")

    def _weighed(self, node: nodes.Expr, frame: Frame) -> None:
        if isinstance(node, nodes.Const):
            self.visit(node, frame)
            return
        self.write("environment.weighed(")
        self.visit(node, frame)
        self.write(")")

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> str:
        """Fold nothing while compiling but the template's own text."""
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which one rendering takes `MOST_STEPS` at most.

    It counts one rendering at a time, so each thread that renders needs an environment of its own.
    """

    code_generator_class = BoundedGenerator
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, filters: Iterable[str], own: Mapping[str, Any], **options: bool) -> None:
        """`filters` of Jinja2 by name, and `own` ones beside them."""
        super().__init__(autoescape=False, finalize=self._write, undefined=StrictUndefined, optimized=False, **options)
        self.left = MOST_STEPS
        self._deep = 0
        self.globals = {"range": safe_range}
        known: dict[str, Any] = self.filters | {"sum": costs.add_up} | own  # type: ignore[operator]
        self.filters = {name: self._paying(name, known[name]) for name in (*filters, *own)}
        self.tests = {
            name: self._paying(name, test) if name in costs.COMPARING_TESTS else test
            for name, test in self.tests.items()
        }

    def begin(self) -> None:
        """Begin a rendering, or compile, with all steps left."""
        self.left = MOST_STEPS
        self._deep = 0

    def literal(self, value: object) -> str:
        """Return a value as it stands in the output."""
        raise NotImplementedError

    def spend(self, steps: int) -> bool:
        """Take steps from what is left; True. Raises `BoundError` where too few are left."""
        self.left = self.left - steps if steps <= MOST_AT_ONCE else -1
        if self.left < 0:
            raise BoundError(
                f"takes over {MOST_STEPS:,} steps of work (loop turns, calls, and texts by length); "
                "loop over less, or shorten texts first, as by truncate or [:500]"
            )
        return True

    def weigh(self, value: object) -> None:
        """Pay for all that is in a value, as often as it is in it."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self.spend(costs.of_text(len(one)))
                continue
            self.counted(one)
            if isinstance(one, dict):
                waiting += one
                waiting += one.values()
            elif isinstance(one, _LISTS):
                waiting += one
            elif isinstance(one, msgspec.Struct):
                waiting += (getattr(one, name) for name in one.__struct_fields__)

    def weighed(self, value: object) -> object:
        """Pay for all that is in a value; the value."""
        self.weigh(value)
        return value

    def counted(self, value: object) -> object:
        """Pay for a text's characters or a list's items, not for what is in them; the value."""
        if isinstance(value, str):
            self.spend(costs.of_text(len(value)))
        elif isinstance(value, (dict, range, *_LISTS)):
            self.spend(1 + len(value))
        else:
            self.spend(1)
            if isinstance(value, int) and value.bit_length() > costs.MOST_BITS:
                raise BoundError(f"makes a number of over {costs.MOST_BITS:,} bits; use smaller numbers")
        return value

    def joined(self, values: tuple[object, ...]) -> object:
        """Join as `~` does."""
        self.weigh(values)
        return "".join(str(value) for value in values)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Pay for an operator before it works."""
        costs.pay_for_operator(self, operator, left, right)
        return self.counted(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja2 has it
        """Pay for a method before it works. Macros and recursive loops pay by their blocks."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, (LoopContext, *costs.METHODS)):
            named = (one for name, one in kwargs.items() if not name.startswith("_"))
            costs.pay_for_method(__self, owner, __obj.__name__, (*args, *named))
        __self._deep += 1
        if __self._deep > MOST_DEEP:
            raise BoundError(f"calls macros or loops more than {MOST_DEEP} deep; does one call itself without end?")
        try:
            return __self.counted(super().call(__context, __obj, *args, **kwargs))
        finally:
            __self._deep -= 1

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Pay for a key that takes long to hash."""
        if not isinstance(argument, (str, int)):
            self.weigh(argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow the methods whose cost is known, and what the relay itself hands in."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        for kind, names in costs.METHODS.items():
            if isinstance(obj, kind):
                return attr in names or not callable(value)
        return isinstance(obj, (msgspec.Struct, LoopContext, BlockReference))

    def wrap_str_format(self, value: Any) -> Any:
        """Pay for what `format` writes, widths included."""
        if super().wrap_str_format(value) is None:
            return None
        text: str = value.__self__
        formatter = _EscapeFormatter(self, escape=text.escape) if isinstance(text, Markup) else _Formatter(self)

        def call(*args: Any, **named: Any) -> str:
            self.counted(text)
            if value.__name__ == "format_map":
                (named,), args = args, ()
            return type(text)(formatter.vformat(text, args, named))

        return call

    def _write(self, value: object) -> str:
        self.weigh(value)
        return self.literal(value)

    def _paying(self, name: str, function: Any) -> Any:
        """A filter or test that pays, and gives a list where Jinja2's gives a generator."""
        passed = int(getattr(function, "jinja_pass_arg", None) is not None)
        pay: costs.Payment = costs.FILTERS.get(name, costs.pay_for_all)

        def call(*args: Any, **named: Any) -> Any:
            pay(self, args[passed:], named)
            result = function(*args, **named)
            return list(self._each(result)) if isinstance(result, Iterator) else self.counted(result)

        return update_wrapper(call, function)

    def _each(self, values: Iterator[object]) -> Iterator[object]:
        for value in values:
            self.counted(value)
            yield value


class _Formatter(SandboxedFormatter):
    """Formats so that each field pays for its value, and for the width that it is given."""

    def __init__(self, environment: BoundedEnvironment, **options: Any) -> None:
        super().__init__(environment, **options)
        self._purse = environment

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        value, first = super().get_field(field_name, args, kwargs)
        return self._purse.weighed(value), first

    def format_field(self, value: Any, format_spec: str) -> Any:
        self._purse.spend(costs.of_text(costs.widths(str(format_spec))))
        return super().format_field(value, format_spec)


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """Escapes what is put into text that is markup."""


def _payment(*paid: nodes.Node) -> nodes.Expr:
    """An expression that pays for others. Jinja2 allows no nodes of our own; it writes the name of this one as code."""
    return nodes.EnvironmentAttribute(f"spend({_parts(*paid) + 1})")


def _parts(*block: nodes.Node) -> int:
    """Count the parts and the text of nodes, without the blocks within them, which pay for themselves."""
    return sum(
        costs.of_text(len(node.data))
        if isinstance(node, nodes.TemplateData)
        else 1 + _parts(*node.iter_child_nodes(exclude=("body", "else_")))
        for node in block
    )
