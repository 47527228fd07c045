"""Everything about the gpu backend that only a GPU can tell: one call, a table at the end.

    PYTHONPATH=src python benchmarks/gpu.py [--json FILE] [--only step,graph] [--rehearse]

Correctness against float64 on the host, step time and bandwidth against torch's AdamW, CUDA graphs,
GradScaler, bytes of state, whole training iterations, populations, models that are moved, gradients
that come and go, and FSDP2. Without a GPU it says so and
exits with 0; ``--rehearse`` runs the same code with tiny tensors on the CPU, to find its mistakes.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from gpu_cases import (
    CASES,
    OPTIONS,
    SMALL_CASES,
    Shapes,
    apart,
    convnet,
    followed,
    mlp,
    ours,
    parameters,
    torchs,
)
from gpu_timing import Bench, copy_bandwidth, line, machine
from torch import nn

import unyoke
from unyoke.population import Population

# The sections


def check_correctness(bench: Bench) -> None:
    """Twenty updates against float64 on the host; relative to the largest weight."""
    shapes: Shapes = [(5000,), (33, 17), (7,), (), (128, 256)]
    for direction in (
        "adam",
        "amsgrad",
        "nesterov_adam",
        "lion",
        "heavy_ball",
        "rmsprop",
        "adagrad",
    ):
        for decay in ("decoupled", "l2", "cautious"):
            found, expected = (
                followed(shapes, device, dtype, backend, direction=direction, decay=decay)
                for device, dtype, backend in (
                    (bench.device, torch.float32, "cpu" if bench.rehearsal else "gpu"),
                    (torch.device("cpu"), torch.float64, "eager"),
                )
            )
            bench.note(
                "correct", f"{direction}, {decay}", "gpu", apart(found, expected), "relative"
            )
    for name, options in OPTIONS.items():
        for dtype in (torch.float32, torch.bfloat16):
            found, expected = (
                followed(shapes, bench.device, dtype, backend, **options)
                for backend in ("eager" if bench.rehearsal else "gpu", "eager")
            )
            case = f"{str(dtype).removeprefix('torch.')}"
            bench.note("as eager", case, name, apart(found, expected), "relative")


def measure_steps(bench: Bench) -> None:
    """Step time and bandwidth against torch, the contestants alternating."""
    bandwidth = copy_bandwidth(bench)
    bench.note("step", "copy", "device to device", bandwidth / 1e9, "GB/s")
    for case, shapes in (SMALL_CASES if bench.rehearsal else CASES).items():
        makers = {f"torch {kind}": torchs(kind) for kind in ("fused", "foreach")}
        if case in ("six small", "one of 256 M") and not bench.rehearsal:
            makers["torch compiled"] = torchs("compiled")
        makers |= {name: ours(**options) for name, options in OPTIONS.items()}
        elements = sum(torch.Size(shape).numel() for shape in shapes)
        times: dict[str, float] = {}
        fused = torchs("fused")(weights := parameters(shapes, bench))
        for name, make in makers.items():
            step = make(own := parameters(shapes, bench))
            times[name], reference = bench.seconds(step, fused)
            ratio = f"{reference / times[name]:.2f}× torch fused"
            if elements > 1 << 24 and "," not in name:
                ratio += f", {28 * elements / times[name] / bandwidth:.0%} of copy bandwidth"
            bench.note("step", case, name, 1e6 * times[name], "µs", ratio)
            del step, own
            bench.free()
        del fused, weights
        bench.free()


def measure_graphs(bench: Bench) -> None:
    """A step in a CUDA graph: replays equal eager steps, schedule and decay included."""
    if bench.rehearsal:
        return
    settings: dict[str, Any] = {"lr": 0.01, "weight_decay": 1e-3, "capturable": True}
    schedule = unyoke.schedules.warm_restarts(5, 2)
    shapes = CASES["six small"]
    plain = parameters(shapes, bench)
    copied = [nn.Parameter(p.detach().clone()) for p in plain]
    for weight, other in zip(copied, plain, strict=True):
        weight.grad = other.grad.clone()
    one = unyoke.AdamW(plain, schedule=schedule, **{**settings, "capturable": False})
    two = unyoke.AdamW(copied, schedule=schedule, **settings)
    one.step()
    two.step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        two.step()
    for _ in range(20):
        one.step()
        graph.replay()
    worst = apart([p.detach().cpu() for p in copied], [p.detach().cpu() for p in plain])
    bench.note("graph", "20 replays under restarts", "unyoke", worst, "relative")
    updates = two.state_dict()["param_groups"][0]["updates"]
    bench.note("graph", "updates in the checkpoint", "unyoke", updates, "of 21")
    for case in ("six small", "2000 of 4096", "one of 256 M"):
        graphs = [
            recorded(make(parameters(CASES[case], bench), capturable=True, **options))
            for make, options in ((unyoke.AdamW, {}), (torch.optim.AdamW, {"fused": True}))
        ]
        mine, rivals = bench.seconds(*(each.replay for each in graphs))
        note = f"{rivals / mine:.2f}× torch fused"
        bench.note("graph", f"replay, {case}", "unyoke", 1e6 * mine, "µs", note)
        bench.note("graph", f"replay, {case}", "torch fused", 1e6 * rivals, "µs")
        del graphs
        bench.free()


def recorded(optimizer: torch.optim.Optimizer) -> torch.cuda.CUDAGraph:
    """A step as a CUDA graph, which keeps the optimizer."""
    graph = torch.cuda.CUDAGraph()
    optimizer.step()
    with torch.cuda.graph(graph):
        optimizer.step()
    graph.optimizer = optimizer  # type: ignore[attr-defined]
    return graph


def check_grad_scaler(bench: Bench) -> None:
    """GradScaler's scale and verdict on the device: as if it had unscaled and skipped."""
    if bench.rehearsal:
        return
    results = []
    for capturable in (True, False):
        weights = parameters([(300, 40), (7,)], bench)
        optimizer = unyoke.AdamW(weights, lr=0.01, weight_decay=1e-3, capturable=capturable)
        scaler = torch.amp.GradScaler("cuda", init_scale=2.0**10)
        for t in range(10):
            for number, weight in enumerate(weights):
                torch.manual_seed(10 * t + number)
                weight.grad = scaler.get_scale() * torch.randn_like(weight)
                if t == 4:
                    weight.grad.view(-1)[3] = float("inf")
            scaler.scale(torch.zeros((), device=bench.device))
            scaler.step(optimizer)
            scaler.update()
        on_device = optimizer._step_supports_amp_scaling
        assert on_device is capturable, "capturable should decide who takes the scale out"
        results.append([weight.detach().cpu() for weight in weights])
    bench.note("GradScaler", "10 steps, one with inf", "unyoke", apart(*results), "relative")


def count_state(bench: Bench) -> None:
    """Bytes of state per weight, as the tensors say."""
    for name, options in OPTIONS.items():
        weights = parameters([(1 << (13 if bench.rehearsal else 24),)], bench)
        optimizer = unyoke.AdamW(weights, **options)
        optimizer.step()
        state = optimizer.state[weights[0]]
        size = sum(t.numel() * t.element_size() for t in state.values() if t.numel() > 1)
        bench.note("state", "one tensor", name, size / weights[0].numel(), "B per weight")


def measure_training(bench: Bench) -> None:
    """Whole iterations of a small transformer: forward, backward, step."""
    width, layers, length, batch = (32, 1, 8, 2) if bench.rehearsal else (512, 6, 256, 16)
    layer = nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).to(bench.device)
    inputs = torch.randn(batch, length, width, device=bench.device)

    def iteration(make: Callable[[list[Any]], Callable[[], object]]) -> Callable[[], object]:
        own = copy.deepcopy(model)
        step = make(list(own.parameters()))

        def run() -> None:
            own.zero_grad(set_to_none=True)
            with torch.autocast(bench.device.type, torch.bfloat16):
                loss = own(inputs).square().mean()
            loss.backward()
            step()

        return run

    makers = {
        "no step": lambda weights: lambda: None,
        "torch default": torchs("foreach"),
        "torch fused": torchs("fused"),
        "unyoke": ours(),
        "unyoke, 8-bit state": ours(state_dtype="int8"),
    }
    times = bench.seconds(*(iteration(make) for make in makers.values()))
    for name, seconds in zip(makers, times, strict=True):
        bench.note("training", f"transformer {layers}×{width}", name, 1e6 * seconds, "µs")


def measure_populations(bench: Bench) -> None:
    """K models in one program, against K models one after the other."""
    data = torch.randn(64, 64, device=bench.device)
    labels = torch.randint(10, (64,), device=bench.device)
    for name, factory in (("MLP 64-128-10", mlp), ("ConvNet", convnet)):
        for size in (4,) if bench.rehearsal else (64, 512):
            alone = factory().to(bench.device)
            optimizer = torch.optim.AdamW(alone.parameters(), fused=True)
            population = Population(
                lambda make=factory: make().to(bench.device),
                lr=torch.logspace(-4, -2, size),
                weight_decay=torch.logspace(-7, -4, size),
                updates=1 << 20,
                engine="stacked",
            )

            def one(model: nn.Module = alone, step: Any = optimizer.step) -> None:
                model.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(model(data), labels).backward()
                step()

            def together(population: Population = population) -> None:
                population.step(data, labels)

            for _ in range(0 if bench.rehearsal else 12):
                together()  # it records its program after some updates
            each, all_at_once = bench.seconds(one, together)
            note = f"{size * each / all_at_once:.1f}× one by one (torch fused)"
            bench.note("population", f"{size} of {name}", "unyoke", 1e6 * all_at_once, "µs", note)


def check_moved(bench: Bench) -> None:
    """A model that is moved to the device after its optimizer was made trains as one made there."""
    results = []
    for late in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        if not late:
            model.to(bench.device)
        optimizer = unyoke.AdamW(model.parameters(), lr=0.01, weight_decay=1e-3)
        model.to(bench.device)
        generator = torch.Generator().manual_seed(1)
        for _ in range(20):
            inputs = torch.randn(32, 64, generator=generator).to(bench.device)
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
        results.append([weight.detach().cpu() for weight in model.parameters()])
    bench.note("moved", "20 steps, moved or made there", "unyoke", apart(*results), "relative")


def measure_gradients(bench: Bench) -> None:
    """Which parameters have gradients changes: a fiftieth of them at each step."""
    shapes: Shapes = [(1000,)] * (50 if bench.rehearsal else 400)

    def coming_and_going(step: Callable[[], object], weights: list[Any]) -> Callable[[], object]:
        given = [weight.grad for weight in weights]
        own = {"first": 0}

        def run() -> None:
            few = len(weights) // 50 or 1
            for number in range(own["first"], own["first"] + few):
                weights[number % len(weights)].grad = given[number % len(weights)]
            own["first"] += few
            for number in range(own["first"], own["first"] + few):
                weights[number % len(weights)].grad = None
            step()

        return run

    steps = []
    for make in (ours(), torchs("fused")):
        weights = parameters(shapes, bench)
        steps.append(coming_and_going(make(weights), weights))
    mine, rivals = bench.seconds(*steps)
    case = f"{len(shapes)} × 1,000, 2 % change"
    bench.note("gradients", case, "unyoke", 1e6 * mine, "µs", f"{rivals / mine:.2f}× torch fused")
    bench.note("gradients", case, "torch fused", 1e6 * rivals, "µs")


def measure_fsdp(bench: Bench) -> None:
    """The step of FSDP2's sharded parameters, in one process."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "gloo" if bench.rehearsal else "nccl",
            init_method=f"file://{folder}/meeting",
            rank=0,
            world_size=1,
        )
        try:
            mesh = dist.device_mesh.init_device_mesh(bench.device.type, (1,))
            for layers, width in ((5, 8),) if bench.rehearsal else ((50, 32), (12, 1024)):
                steps = []
                for make in (ours(), torchs("fused")):
                    torch.manual_seed(0)
                    model = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
                    model.to(bench.device)
                    for layer in model:
                        fully_shard(layer, mesh=mesh)
                    fully_shard(model, mesh=mesh)
                    model(torch.randn(4, width, device=bench.device)).square().mean().backward()
                    steps.append(make(list(model.parameters())))
                mine, rivals = bench.seconds(*steps)
                case = f"{layers} of {width} × {width}"
                note = f"{rivals / mine:.2f}× torch fused"
                bench.note("fsdp", case, "unyoke", 1e6 * mine, "µs", note)
                bench.note("fsdp", case, "torch fused", 1e6 * rivals, "µs")
        finally:
            dist.destroy_process_group()


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "correct": check_correctness,
    "graph": measure_graphs,
    "scaler": check_grad_scaler,
    "state": count_state,
    "population": measure_populations,
    "training": measure_training,
    "moved": check_moved,
    "gradients": measure_gradients,
    "fsdp": measure_fsdp,
    "step": measure_steps,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas")
    parser.add_argument("--commit", help="of the code, where it was copied without its history")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    missing = unyoke.backends.ALL["gpu"].missing()
    if missing is not None and not options.rehearse:
        print(f"Nothing was measured: {missing}.")
        return 0
    if options.json:
        try:
            options.json.touch()  # now, and not when a GPU has been measured
        except OSError as error:
            parser.error(f"--json: {error}")
    bench = Bench(options.rehearse)
    failed = []
    for name in options.only.split(","):
        try:
            SECTIONS[name](bench)
        except Exception:  # the other sections' figures are still worth having
            failed.append(name)
            traceback.print_exc()
        bench.free()
    about = machine(bench, options.commit)
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items()))
    print("\n".join(map(line, bench.rows)))
    if options.json:
        content = {"machine": about, "failed": failed, "rows": [asdict(row) for row in bench.rows]}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
