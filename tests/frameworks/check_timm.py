"""timm: its factory, Lookahead, layer decay and schedulers."""

from __future__ import annotations

import copy
from collections.abc import Callable

import comparing
from comparing import DECAY, LR, UPDATES, distance, plain, tell

comparing.without_torchvision()

import timm.models.vision_transformer  # noqa: E402
import timm.optim  # noqa: E402
import timm.scheduler  # noqa: E402
import torch  # noqa: E402

import unyoke  # noqa: E402
from unyoke.integrations import timm as ours  # noqa: E402

ours.register()


def factory() -> float:
    def by_timm(module: torch.nn.Module) -> torch.optim.Optimizer:
        return timm.optim.create_optimizer_v2(module, opt="unyokeadamw", lr=LR, weight_decay=DECAY)

    def by_hand(module: torch.nn.Module) -> torch.optim.Optimizer:
        groups = timm.optim.param_groups_weight_decay(module, weight_decay=DECAY)
        return torch.optim.AdamW(
            [g | {"weight_decay": g["weight_decay"] / LR} for g in groups], lr=LR
        )

    return distance(plain(by_timm), plain(by_hand))


def lookahead() -> float:
    def one(opt: str, scale: float) -> torch.Tensor:
        return plain(
            lambda module: timm.optim.create_optimizer_v2(
                module, opt=f"lookahead_{opt}", lr=LR, weight_decay=DECAY * scale
            )
        )

    return distance(one("unyokeadamw", 1.0), one("adamw", 1 / LR))


def layer_decay() -> float:
    """timm's groups scale the learning rate of early layers; with it torch's decay, and not λ."""

    def one(opt: str) -> torch.Tensor:
        torch.manual_seed(0)
        vit = timm.models.vision_transformer.VisionTransformer(
            img_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=3
        )
        optimizer = timm.optim.create_optimizer_v2(vit, opt=opt, lr=LR, layer_decay=0.5)
        assert len({group["lr_scale"] for group in optimizer.param_groups}) > 1
        scheduler = Stepped(optimizer)
        for t in range(UPDATES):
            images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(t))
            optimizer.zero_grad()
            vit(images).square().mean().backward()
            optimizer.step()
            scheduler.step()
        return comparing.flat(vit)

    return distance(one("unyokeadamw"), one("adamw"))


class Stepped:
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.scheduler = timm.scheduler.CosineLRScheduler(
            optimizer, t_initial=UPDATES, warmup_t=3, warmup_lr_init=1e-4, t_in_epochs=False
        )
        self.t = 0

    def step(self) -> None:
        self.t += 1
        self.scheduler.step_update(self.t)


def scheduler() -> float:
    def one(cls: type, scale: float) -> torch.Tensor:
        return plain(
            lambda m: cls(m.parameters(), lr=LR, weight_decay=DECAY * scale), after=Stepped
        )

    return distance(one(unyoke.AdamW, 1.0), one(torch.optim.AdamW, 1 / LR))


def own_rules() -> float:
    """timm's RMSprop and its LARS with always_adapt=True, and ours, over 200 updates.

    timm's tests ask where these end in Rosenbrock's valley after 2,000 updates. Its LARS adapts
    nothing there (no weight decay); RMSprop with momentum 0.9 ends elsewhere in float32 than in
    float64, ours and torch's alike. So the paths are compared while they are not chaotic.
    """

    def path(make: Callable[[list], torch.optim.Optimizer]) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.tensor([1.5, 1.5], dtype=torch.float64))
        optimizer = make([weight])
        points = []
        for t in range(200):
            x, y = weight.detach()
            slopes = -400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)
            weight.grad = torch.stack(slopes) * torch.tensor([t % 2 == 1, t % 2 == 0])
            optimizer.step()
            points.append(weight.detach().clone())
        return torch.stack(points)

    def by_timm(opt: str, **given: object) -> torch.Tensor:
        make = timm.optim.create_optimizer_v2
        return path(lambda weights: make(weights, opt=opt, lr=1e-3, weight_decay=0.0, **given))

    furthest = distance(by_timm("unyokermsprop", alpha=0.9), by_timm("rmsprop"))
    return max(furthest, distance(by_timm("unyokelarsw"), by_timm("lars", always_adapt=True)))


def every_name() -> float:
    """What timm's own tests ask of each name in its factory: the loss falls, a checkpoint goes on.

    Rules of matrices get the weight alone, as timm's tests of Muon do.
    """
    furthest = 0.0
    for name in ours.register():
        matrices_only = any(word in name for word in ("muon", "ndadam"))

        def begun(name: str = name, alone: bool = matrices_only) -> tuple[list, object]:
            generator = torch.Generator().manual_seed(0)
            shapes = [(10, 5)] if alone else [(10, 5), (10,)]
            weights = [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]
            return weights, timm.optim.create_optimizer_v2(weights, name, lr=1e-3)

        def losses(weights: list, optimizer: object, updates: int) -> list[float]:
            found = []
            for _ in range(updates):
                optimizer.zero_grad()
                y = weights[0] @ torch.linspace(-1, 1, 5)
                loss = (y + sum(weights[1:])).square().sum()
                loss.backward()
                optimizer.step()
                found.append(float(loss))
            return found

        weights, optimizer = begun()
        assert str(optimizer)
        path = losses(weights, optimizer, 20)
        assert path[-1] < path[0], (name, path)
        again, resumed = begun()
        with torch.no_grad():
            for new, old in zip(again, weights, strict=True):
                new.copy_(old)
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        pair = losses(weights, optimizer, 20), losses(again, resumed, 20)
        furthest = max(furthest, *(abs(a - b) for a, b in zip(*pair, strict=True)))
    return furthest


tell('`create_optimizer_v2(opt="unyokeadamw")`', factory)
tell("every optimizer by its name: the loss falls, a checkpoint goes on", every_name)
tell("RMSprop and LARS, as timm's own", own_rules)
tell("`lookahead_unyokeadamw`", lookahead)
tell("a ViT with `layer_decay=`", layer_decay)
tell("CosineLRScheduler with warmup", scheduler)
