"""A Jinja2 sandbox that counts the work of a rendering and stops any template at a bound.

Three rules make the bound hold:
* A block of statements pays for its parts each time it is entered, so each turn of a loop, macro or recursion is paid.
* An operator, filter, test or method pays for the size of the values that it handles, before it makes larger ones.
* Only the methods of `costs.METHODS` can be called, and filters return lists, so no work is put off past its payment.
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

Measured on one core of a small server: hostile templates run for 0.05 to 0.5 s until they are stopped, so the event
loop is free again soon. A loop over 10 incidents with 100 labels each that sorts, joins and cuts takes 45,000 steps.
One over 1,000 incidents with 10 labels each takes 465,000, though a group's message names no more than 10.
"""
MOST_AT_ONCE = 125_000
"""Steps that one operation may take. It keeps each text below 1,000,000 characters, and so bounds memory as well."""
MOST_DEEP = 50
"""Levels of calls within calls, by recursive macros and loops. It is far below the depth that Python allows."""
LONGEST_WORDS = 500
"""Characters of an error that are shown, as some errors repeat the value that they are about."""
_LISTS = (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)


class TemplateError(ValueError):
    """A template that can't be read, or that fails. The text names the line, if it is known."""


class BoundError(Exception):
    """A rendering that went over a bound.

    It is no ValueError or TypeError, because filters and tests of Jinja2 catch those and go on.
    """


def words_of(error: BaseException) -> str:
    """Return in words how a template failed, and in which line of it."""
    words = "takes too much memory" if isinstance(error, MemoryError) else str(error)[:LONGEST_WORDS]
    if not isinstance(error, BoundError | TemplateError | MemoryError):
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == "<template>"]
    return f"line {lines[-1]}: {words}" if lines else words


class BoundedGenerator(CodeGenerator):
    """A generator of code that pays for the work of blocks, joins, comparisons and slices."""

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        """Have a block pay for its parts each time it is entered."""
        block = list(body)
        self.writeline(f"environment.spend({_parts(*block) + 1})")
        super().blockvisit(block, frame)

    def macro_body(self, node: nodes.Macro | nodes.CallBlock, frame: Frame) -> Any:
        """Have a macro pay for its default values, which are made anew for each call."""
        node.body = [nodes.ExprStmt(_payment(*node.defaults), lineno=node.lineno), *node.body]
        return super().macro_body(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 - Jinja2's name
        """Have the condition of a loop pay as well, as it also runs for the items that it leaves out."""
        if node.test is not None:
            node.test = nodes.And(_payment(node.test), node.test, lineno=node.test.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Have `~` pay for the values that it joins."""
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
        """Have the keys of a mapping pay for being hashed."""
        self.write("{")
        for pair in node.items:
            self._weighed(pair.key, frame)
            self.write(": ")
            self.visit(pair.value, frame)
            self.write(", ")
        self.write("}")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        """Have slices pay for the values that they copy. Jinja2 does not pass slices to `getitem`."""
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
        """Fold only the template's own text while compiling, as work at that time would not be counted."""
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which one rendering takes at most `MOST_STEPS`.

    It counts one rendering at a time, so each thread that renders needs an environment of its own.
    """

    code_generator_class = BoundedGenerator
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, filters: Iterable[str], own: Mapping[str, Any], **options: bool) -> None:
        """Make a sandbox with those `filters` of Jinja2 and `own` ones, by name."""
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
        """Begin to render or compile with all steps left."""
        self.left = MOST_STEPS
        self._deep = 0

    def literal(self, value: object) -> str:
        """Return a value as the output shows it."""
        raise NotImplementedError

    def spend(self, steps: int) -> bool:
        """Take steps from those that are left, and return True. Raises `BoundError` if too few are left."""
        # too large an operation spends all that is left, so that nothing later in this rendering succeeds either
        self.left = self.left - steps if steps <= MOST_AT_ONCE else -1
        if self.left < 0:
            raise BoundError(
                f"takes over {MOST_STEPS:,} steps of work (loop turns, calls, and texts by length); "
                "loop over less, or shorten texts first, as by truncate or [:500]"
            )
        return True

    def weigh(self, value: object) -> None:
        """Pay for a value and everything within it, repeated parts each time."""
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
        """Pay for a value and everything within it, and return it."""
        self.weigh(value)
        return value

    def counted(self, value: object) -> object:
        """Pay for a text's characters or a list's items, without the values within them. Return the value."""
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
        """Join values as `~` does."""
        self.weigh(values)
        return "".join(str(value) for value in values)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Pay for an operator, then apply it."""
        costs.pay_for_operator(self, operator, left, right)
        return self.counted(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja2 has it
        """Pay for a method, then call it. Macros and recursive loops pay by their blocks."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, (LoopContext, *costs.METHODS)):
            named = (one for name, one in kwargs.items() if not name.startswith("_"))
            costs.pay_for_method(__self, owner, __obj.__name__, (*args, *named))
        __self._deep += 1
        if __self._deep > MOST_DEEP:
            raise BoundError(f"calls macros or loops more than {MOST_DEEP} deep; see if one calls itself without end")
        try:
            return __self.counted(super().call(__context, __obj, *args, **kwargs))
        finally:
            __self._deep -= 1

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Pay for a key that may take long to hash, then look it up."""
        if not isinstance(argument, (str, int)):
            self.weigh(argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may use an attribute: a method of known cost, or any of the relay's own values."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        for kind, names in costs.METHODS.items():
            if isinstance(obj, kind):
                return attr in names or not callable(value)
        return isinstance(obj, (msgspec.Struct, LoopContext, BlockReference))

    def wrap_str_format(self, value: Any) -> Any:
        """Have `format` pay for the text that it writes, widths included."""
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
        """Return a filter or test that pays, and that returns a list in place of a generator."""
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
    """A formatter whose fields each pay for their value and their width."""

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
    """A formatter for text that is markup, which escapes each value."""


def _payment(*paid: nodes.Node) -> nodes.Expr:
    """Return an expression that pays for others.

    Jinja2 allows no nodes of our own, but it writes the name of an `EnvironmentAttribute` into the code as it is.
    """
    return nodes.EnvironmentAttribute(f"spend({_parts(*paid) + 1})")


def _parts(*block: nodes.Node) -> int:
    """Return the cost of the parts and the text of nodes, without the blocks within them, which pay for themselves."""
    return sum(
        costs.of_text(len(node.data))
        if isinstance(node, nodes.TemplateData)
        else 1 + _parts(*node.iter_child_nodes(exclude=("body", "else_")))
        for node in block
    )
