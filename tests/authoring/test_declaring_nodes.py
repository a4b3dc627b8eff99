"""A typed signature is the whole declaration of a node."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import pytest

from engine.api import (
    Choosing,
    Context,
    ExecutionBlocker,
    Expand,
    Files,
    Growing,
    Image,
    In,
    Latent,
    Lazy,
    Mask,
    Out,
    Seed,
    Socket,
    WithUi,
    node,
    route,
)
from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition, read_result
from engine.authoring.routes import routes_of
from engine.authoring.signature import NodeDeclarationError
from engine.graph.prompt import Link
from engine.graph.schema import NodeSpec, OutputSpec

T = TypeVar("T")


class Track(Socket, io_type="TRACK"):
    """A pack's own type."""


class Splitter:
    """An ordinary class used as a type."""


class OnlyOne(NamedTuple):
    value: int


class ImageAndMask(NamedTuple):
    image: Image
    mask: Annotated[Mask, Out(name="MASK", tip="What was cut out.")]


def spec_of(target: Any) -> NodeSpec:
    return declared(target).spec


def declared(target: Any) -> NodeDefinition:
    found = definition_of(target)
    assert found is not None
    return found


@node("Cut", category="test", display_name="Cut out")
def cut(
    ctx: Context,
    image: Image,
    amount: Annotated[float, In(ge=0, le=1, step=0.1, tip="How much.")] = 0.5,
    mode: Literal["soft", "hard"] = "soft",
    seed: Seed = 0,
    file: Annotated[str, In(choices=Files("input"))] = "",
    mask: Mask | None = None,
    either: Image | Latent | None = None,
    track: Track | None = None,
    own: Splitter | None = None,
) -> ImageAndMask:
    """Cut something out."""
    return ImageAndMask(image, mask)


def test_names_types_defaults_ranges_and_docs_are_read_off_the_signature() -> None:
    spec = spec_of(cut)
    assert (spec.name, spec.display_name, spec.category, spec.doc) == ("Cut", "Cut out", "test", "Cut something out.")
    assert [(i.name, i.type, i.required) for i in spec.inputs] == [
        ("image", "IMAGE", True),
        ("amount", "FLOAT", True),
        ("mode", "COMBO", True),
        ("seed", "INT", True),
        ("file", "COMBO", True),
        ("mask", "MASK", False),
        ("either", "IMAGE,LATENT", False),
        ("track", "TRACK", False),
        ("own", "SPLITTER", False),
    ]
    amount, mode, seed, file = spec.inputs[1:5]
    assert (amount.default, amount.ge, amount.le, amount.step, amount.tip) == (0.5, 0, 1, 0.1, "How much.")
    assert mode.choices == ("soft", "hard")
    assert seed.seed
    assert seed.le == 2**64 - 1
    assert file.choices == Files("input")
    assert spec.outputs == (
        OutputSpec(name="image", type="IMAGE"),
        OutputSpec(name="MASK", type="MASK", tip="What was cut out."),
    )


def test_a_default_that_no_widget_shows_makes_an_input_that_may_be_left_out() -> None:
    @node("Sockets")
    def sockets(
        wanted: Annotated[float, In(link_only=True)],
        shown: float = 1.0,
        linked: Annotated[float, In(link_only=True)] = 1.0,
        either: int | float = 1.0,
    ) -> float:
        return shown

    assert [(one.name, one.required) for one in spec_of(sockets).inputs] == [
        ("wanted", True),
        ("shown", True),
        ("linked", False),
        ("either", False),
    ]


def test_what_the_field_says_beside_is_told_and_no_parameter() -> None:
    hidden = {"prompt": "PROMPT"}

    @node("Told", display_name=None, hidden=hidden)
    def told(x: Annotated[float | None, In(round=False, options={"advanced": True})] = None) -> float:
        return 1.0

    spec = spec_of(told)
    assert (spec.display_name, spec.hidden, spec.told_hidden) == ("", {}, hidden)
    assert spec.inputs[0].options == {"round": False, "advanced": True}
    assert not spec.inputs[0].required


def test_a_decorated_function_stays_an_ordinary_function() -> None:
    assert cut(None, "picture", mask="m") == ("picture", "m")  # type: ignore[arg-type]


def test_lazy_inputs_are_marked_and_a_type_variable_is_any_type() -> None:
    @node("Pick")
    async def pick(first: bool, a: Lazy[T], b: Lazy[T]) -> T:
        return await (a() if first else b())

    definition = declared(pick)
    assert definition.lazy_inputs == {"a", "b"}
    assert definition.is_async
    assert not definition.wants_ctx
    assert [i.type for i in definition.spec.inputs] == ["BOOLEAN", "*", "*"]
    assert definition.spec.outputs[0].type == "*"


def test_lists_expansions_and_results_with_ui_declare_what_is_inside() -> None:
    @node("Frames", input_is_list=True)
    def frames(ctx: Context, images: list[Image]) -> list[Image]:
        return images

    @node("Twice")
    def twice(ctx: Context, image: Image) -> Expand[Image]:
        return ctx.subgraph().result(image)

    @node("Show", output=True)
    def show(image: Image) -> WithUi[None]:
        return WithUi(ui={})

    @node("Tell", output=True)
    def tell(image: Image) -> WithUi[str]:
        return WithUi("told", ui={"text": ["told"]})

    assert spec_of(show).outputs == ()
    assert [output.type for output in spec_of(tell).outputs] == ["STRING"]
    assert spec_of(frames).input_is_list
    assert spec_of(frames).inputs[0].type == "IMAGE"
    assert spec_of(frames).outputs[0] == OutputSpec(name="IMAGE", type="IMAGE", is_list=True)
    assert spec_of(twice).outputs[0] == OutputSpec(name="IMAGE", type="IMAGE")


def test_a_class_with_a_run_method_is_a_node_with_one_instance_per_graph_node() -> None:
    @node("Counter", cache=False)
    class Counter:
        """Counts its runs."""

        def __init__(self) -> None:
            self.count = 0

        def run(self, ctx: Context, step: int = 1) -> int:
            self.count += step
            return self.count

        @staticmethod
        def validate(step: int | None) -> bool | str:
            return step != 0 or "step must not be 0"

    definition = declared(Counter)
    assert definition.make is Counter
    assert definition.spec.has_validate
    assert not definition.spec.cache
    assert [i.name for i in definition.spec.inputs] == ["step"]
    instance = definition.make()
    assert [definition.run(instance, None, step=2) for _ in range(2)] == [2, 4]


def test_a_parameter_without_a_type_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(
        NodeDeclarationError, match=r"Node Bad: parameter 'image' has no type. Write for example image: Image"
    ):

        @node("Bad")
        def bad(ctx, image):  # type: ignore[no-untyped-def]
            return image


def test_the_line_to_write_follows_the_default() -> None:
    with pytest.raises(NodeDeclarationError, match=r"Write for example name: str\."):

        @node("Bad")
        def bad(name="world") -> None:  # type: ignore[no-untyped-def]
            """Without a type."""


def test_an_unknown_type_name_is_refused_naming_module_and_import() -> None:
    def bad(ctx: Context, image: Imagee) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Misspelt."""

    with pytest.raises(NodeDeclarationError, match=r"Node Bad: the type 'Imagee'.*from engine.api import Imagee"):
        node("Bad")(bad)


def test_an_unknown_fact_of_an_input_is_refused_with_those_there_are() -> None:
    def bad(steps: Annotated[int, In(minimum=1)]) -> None:  # type: ignore[call-arg]
        """Misspelt."""

    with pytest.raises(NodeDeclarationError, match=r"Node Bad: .*'minimum'.* In\(…\) takes ge, le, step"):
        node("Bad")(bad)


def test_a_default_that_editors_could_not_keep_is_refused() -> None:
    with pytest.raises(
        NodeDeclarationError, match=r"Node Bad: the default of 'own' is a Splitter.*Write own: … \| None"
    ):

        @node("Bad")
        def bad(own: Splitter = Splitter()) -> None:  # noqa: B008
            """With a default of its own type."""


def test_a_result_may_be_a_blocker_instead() -> None:
    @node("Gate")
    def gate(value: T) -> T | ExecutionBlocker:
        return ExecutionBlocker()

    @node("Maybe")
    def maybe(image: Image, mask: Mask) -> ImageAndMask | ExecutionBlocker:
        return ImageAndMask(image, mask)

    assert [output.type for output in spec_of(gate).outputs] == ["*"]
    assert [output.name for output in spec_of(maybe).outputs] == ["image", "MASK"]


def test_an_input_may_ask_for_a_widget_of_the_packs_own_whatever_its_type() -> None:
    @node("Paint")
    def paint(track: Annotated[Track, In(widget="pack.track")], again: Track) -> None:
        """Has one."""

    with_widget, without = spec_of(paint).inputs
    assert (with_widget.widget, with_widget.is_widget) == ("pack.track", True)
    assert not without.is_widget


def test_checks_of_a_class_get_the_inputs_that_they_name() -> None:
    @node("Checked")
    class Checked:
        def run(self, a: int, b: int) -> int:
            return a + b

        @staticmethod
        def validate(a: int | None) -> bool | str:
            return a != 0 or "a must not be 0"

        @classmethod
        def fingerprint(cls, **known: Any) -> str:
            return str(sorted(known))

    definition = declared(Checked)
    assert definition.validate is not None
    assert definition.fingerprint is not None
    assert definition.validate(a=0, b=2, input_types={}) == "a must not be 0"
    assert definition.fingerprint(a=1, b=None) == "['a', 'b']"


def test_a_check_that_needs_an_object_is_refused() -> None:
    with pytest.raises(
        NodeDeclarationError, match=r"`validate` is asked before there is an object. Write @staticmethod"
    ):

        @node("Bad")
        class Bad:
            def run(self, a: int) -> int:
                return a

            def validate(self, a: int) -> bool:
                return True


def test_a_route_is_kept_on_its_function_and_bad_paths_are_refused() -> None:
    @route("GET", "/pack/one")
    @route("POST", "/pack/{name}")
    async def answer(request: object) -> str:
        return "answer"

    assert [(one.method, one.path) for one in routes_of(answer)] == [("POST", "/pack/{name}"), ("GET", "/pack/one")]
    for path in ("pack", "/", "//x", "/api/pack", "/a b"):
        with pytest.raises(ValueError, match="is no path of a pack"):
            route("GET", path)
    with pytest.raises(ValueError, match="'FETCH' is no method"):
        route("FETCH", "/pack")  # type: ignore[arg-type]


def test_a_synchronous_node_with_lazy_inputs_is_refused() -> None:
    with pytest.raises(NodeDeclarationError, match="async def"):

        @node("Bad")
        def bad(a: Lazy[Image]) -> Image:
            raise AssertionError


def test_a_class_without_run_is_refused() -> None:
    with pytest.raises(NodeDeclarationError, match="class Empty has no method `run`"):

        @node("Bad")
        class Empty:
            pass


def test_results_are_read_in_one_form_whatever_the_node_returned() -> None:
    one = NodeSpec(name="One", outputs=(OutputSpec(name="a", type="INT"),))
    two = NodeSpec(name="Two", outputs=(OutputSpec(name="a", type="INT"), OutputSpec(name="b", type="INT")))
    none = NodeSpec(name="None")
    assert read_result(one, (1, 2)).values == ((1, 2),)
    assert read_result(two, (1, 2)).values == (1, 2)
    assert read_result(one, OnlyOne(5)).values == (5,)
    assert read_result(one, ImageAndMask(1, 2)).values == (ImageAndMask(1, 2),)
    assert read_result(none, None).values == ()
    shown = read_result(one, WithUi(5, ui={"text": ["5"]}))
    assert (shown.values, shown.ui) == ((5,), {"text": ["5"]})
    blocker = ExecutionBlocker(None)
    assert read_result(two, blocker).values == (blocker, blocker)


def test_a_wrong_number_of_values_names_node_and_outputs() -> None:
    two = NodeSpec(name="Two", outputs=(OutputSpec(name="a", type="INT"), OutputSpec(name="b", type="INT")))
    with pytest.raises(TypeError, match=r"Two returned 1 value\(s\) where its signature declares 2 output\(s\): a, b"):
        read_result(two, 5)


def test_a_subgraph_numbers_its_nodes_in_order_and_calls_give_links() -> None:
    from engine.api import Subgraph

    graph = Subgraph()
    first = graph.add(cut, image=Link("outer", 1), amount=0.25)
    second = graph.add(cut, image=first[0])
    expanded = graph.result(second[1])
    assert list(expanded.nodes) == ["0", "1"]
    assert expanded.nodes["0"].class_type == "Cut"
    assert expanded.nodes["1"].inputs == {"image": Link("0", 0)}
    assert expanded.values == (Link("1", 1),)
    with pytest.raises(TypeError, match="decorated with @node"):
        graph.add(print, sep="")


NUMBERS = {"input": {"required": {"value": ["INT", {}]}}, "min": 1, "names": ["a", "b"]}
INNER = {"key": "deep", "inputs": {"required": {"size": ["INT", {"default": 3}]}}}
OUTER = [
    {"key": "flat", "inputs": {}},
    {"key": "with", "inputs": {"required": {"kind": ["COMFY_DYNAMICCOMBO_V3", {"options": [INNER]}]}}},
]


@node("Grouped", category="test")
def grouped(
    numbers: Annotated[Growing, In(options={"template": NUMBERS})],
    way: Annotated[Choosing, In(options={"options": OUTER})],
    plain: int = 1,
) -> str:
    """Show what the groups hold."""
    return f"{numbers} {way} {plain}"


def test_inputs_that_stand_for_several_reach_the_function_as_dicts() -> None:
    definition = declared(grouped)
    assert [(one.name, one.type, one.required) for one in definition.spec.inputs] == [
        ("numbers", "COMFY_AUTOGROW_V3", False),
        ("way", "COMFY_DYNAMICCOMBO_V3", True),
        ("plain", "INT", True),
    ]
    assert definition.spec.open_inputs
    given = {"numbers.a": 1, "numbers.b": 2, "way": "with", "way.kind": "deep", "way.kind.size": 4, "plain": 5}
    assert definition.run(**given) == "{'a': 1, 'b': 2} {'way': 'with', 'kind': {'kind': 'deep', 'size': 4}} 5"
    assert definition.run(way="flat") == "{} {'way': 'flat'} 1"


def test_a_function_with_a_parameter_for_more_takes_inputs_that_it_does_not_declare() -> None:
    @node("Open", category="test")
    def taking(first: int, **more: Any) -> int:
        """Count."""
        return first + len(more)

    @node("Closed", category="test")
    def closed(first: int) -> int:
        """Give."""
        return first

    assert [one.name for one in spec_of(taking).inputs] == ["first"]
    assert (spec_of(taking).open_inputs, spec_of(closed).open_inputs) == (True, False)
    assert declared(taking).run(first=1, second=2, third=3) == 3


def test_an_output_may_have_the_type_of_what_is_linked() -> None:
    @node("Same", category="test")
    def same(
        given: Annotated[
            Image | Mask, In(options={"template": {"template_id": "kind", "allowed_types": "IMAGE,MASK"}})
        ],
    ) -> Annotated[Image | Mask, Out(name="given", match="kind")]:
        """Give it back."""
        return given

    assert spec_of(same).outputs == (OutputSpec(name="given", type="IMAGE,MASK", match="kind"),)
