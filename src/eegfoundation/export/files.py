"""Writing and running exported files: ONNX, and programs of `torch.export`.

Both carry the same JSON, under the name `METADATA`: the metadata of an ONNX model, an extra file of
a PyTorch program. Neither says where on this machine the code lay that made it, which exporters
write down beside every operation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from eegfoundation.errors import ConfigError
from eegfoundation.export.check import Run
from eegfoundation.export.graphs import AXES, Graph, quiet

#: Name of the metadata in either kind of file.
METADATA = "eegfoundation.json"


def write_torch(path: Path, program: ExportedProgram, metadata: dict[str, Any]) -> None:
    """Write a program for `torch.export.load`."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    with path.open("wb") as file, quiet():
        torch.export.save(program, file, extra_files={METADATA: json.dumps(metadata)})


def write_onnx(
    path: Path, program: ExportedProgram, graph: Graph, metadata: dict[str, Any]
) -> None:
    """Write an ONNX model, weights included.

    `require_onnx` says whether the packages that this needs are there.
    """
    import onnx_ir

    with quiet():
        exported = torch.onnx.export(
            program,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            verbose=False,
        )
    assert exported is not None
    model = exported.model
    for node in onnx_ir.traversal.RecursiveGraphIterator(model.graph):
        node.metadata_props.clear()
    for function in model.functions.values():
        for node in function:
            node.metadata_props.clear()
    names: dict[str, str] = {}
    for value in model.graph.inputs:
        assert value.shape is not None
        sizes = zip(AXES[str(value.name)], value.shape, strict=True)
        names |= {str(size): axis for axis, size in sizes if axis}
    for value in (*model.graph.inputs, *model.graph.outputs):
        assert value.shape is not None
        value.shape = onnx_ir.Shape([names.get(str(size), size) for size in value.shape])
    model.metadata_props[METADATA] = json.dumps(metadata)
    model.producer_name, model.producer_version = "eegfoundation", metadata["eegfoundation"]
    model.doc_string = metadata.get("notice", "")
    exported.save(path, external_data=False)


def run_torch(path: Path) -> Run:
    """Load a program as a function of arrays by name."""
    with path.open("rb") as file, quiet():
        program = torch.export.load(file).module()

    def run(inputs: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            outputs = program(**{name: torch.from_numpy(x) for name, x in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def run_onnx(path: Path) -> Run:
    """Load an ONNX model as a function of arrays by name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))


def require_onnx() -> None:
    """Raise `ConfigError` if the packages that ONNX needs are not installed."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ONNX needs {error.name}, which is not installed: pip install 'eegfoundation[onnx]' "
            "(or export with --format torch)."
        ) from error
