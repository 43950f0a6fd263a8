"""Variables that outlive a run: globals and static locals.  They are the bytes of an array map, which starts as zeros.

A constant that is never written is its value; one that starts at another value than zero and is written cannot be had.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.scope import Symbol
from probee.compiler.lang.c.value import Place, Variable
from probee.errors import CompileError, Unsupported
from probee.model.ctype import CType, size_of
from probee.model.spec import MapSpec, MapType

MAP_NAME = "probee_globals"


def global_place(low: Lowerer, symbol: Symbol, node: c_ast.ID) -> Place:
    """Return where a global variable lies."""
    declaration = low.source.globals.get(node.name)
    if declaration is None:
        raise CompileError(f"'{node.name}' is not a variable", span_of(node))
    from probee.compiler.lang.c.initialise import complete_array

    assert symbol.type is not None
    symbol.type = complete_array(low, symbol.type, declaration.init)
    if declaration.init is not None and "const" in _qualifiers(declaration):
        variable = _constant(low, declaration, symbol.type)
        return Place(symbol.type, variable.slot, variable=variable)
    return reserve(low, declaration, symbol.type)


def declare_static(low: Lowerer, node: c_ast.Decl, ctype: CType) -> None:
    """Declare a static local variable."""
    from probee.compiler.lang.c.initialise import complete_array

    ctype = complete_array(low, ctype, node.init)
    if node.init is not None and "const" in _qualifiers(node):
        low.declare(node.name, _constant(low, node, ctype))
        return
    symbol = Symbol("variable", node.name, ctype)
    symbol.meaning = reserve(low, node, ctype)
    low.scope.declare(node.name, symbol)


def reserve(low: Lowerer, node: c_ast.Decl, ctype: CType) -> Place:
    """Return the place of a variable in the map, the same at every look."""
    _check_initial(low, node)
    places = low.source.reserved
    if id(node) not in places:
        end = max((at + size for at, size in places.values()), default=0)
        places[id(node)] = ((end + 7) // 8 * 8, max(size_of(ctype), 1))
    size = (max(at + length for at, length in places.values()) + 7) // 8 * 8
    low.unit.maps[MAP_NAME] = MapSpec(MAP_NAME, MapType.ARRAY, 4, size, 1, role="constant")
    return Place(ctype, low.b.map_value(MAP_NAME, places[id(node)][0]))


def _constant(low: Lowerer, node: c_ast.Decl, ctype: CType) -> Variable:
    """Make a constant a local variable of the program, written where it begins; what is not used of it disappears."""
    from probee.compiler.lang.c.initialise import initialise

    variable = low.constants.get(id(node))
    if variable is None:
        variable = low.constants[id(node)] = low.variable(ctype, node.name, key=id(node))
        here, low.b.block = low.b.block, low.b.function.entry
        initialise(low, Place(ctype, variable.slot, variable=variable), node.init)
        low.b.block = here
    return variable


def _check_initial(low: Lowerer, node: c_ast.Decl) -> None:
    from probee.compiler.lang.c.constant import evaluate

    if node.init is None or (isinstance(node.init, c_ast.InitList) and not node.init.exprs):
        return
    if isinstance(node.init, c_ast.InitList) or evaluate(node.init, low.scope) != 0:
        hint = "Declare it const if it never changes, or put it in a BPF_ARRAY that Python fills."
        raise Unsupported(f"'{node.name}' does not start at zero", span_of(node), hint=hint)


def _qualifiers(node: c_ast.Decl) -> list[str]:
    inner = node.type
    while isinstance(inner, c_ast.ArrayDecl):
        inner = inner.type
    return [*node.quals, *getattr(inner, "quals", ())]
