"""Every paper and every address that pages and docstrings cite stands here, with its title.

There is no network in the tests, so a slip of a digit would stay: a number that is new is looked up
and entered. Those of the first list were found in other packages' metadata, sources and pages.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CITING = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "src").rglob("*.py"),
]

PAPERS = {
    "1212.5701": "Zeiler, ADADELTA: An Adaptive Learning Rate Method",
    "1308.0850": "Graves, Generating Sequences With Recurrent Neural Networks",
    "1502.07943": "Jamieson & Talwalkar, Non-stochastic Best Arm Identification",
    "1512.03385": "He et al., Deep Residual Learning for Image Recognition",
    "1705.07485": "Gastaldi, Shake-Shake regularization",
    "1706.02677": "Goyal et al., Accurate, Large Minibatch SGD",
    "1708.03888": "You, Gitman & Ginsburg, Large Batch Training of Convolutional Networks",
    "1709.04546": "Zhang, Ma, Li & Wu, Normalized Direction-preserving Adam",
    "1711.05101": "Loshchilov & Hutter, Decoupled Weight Decay Regularization",
    "1802.04434": "Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems",
    "1807.07540": "Aitchison, Bayesian filtering unifies adaptive and non-adaptive methods",
    "1904.00962": "You et al., Large Batch Optimization for Deep Learning (LAMB)",
    "1910.05446": "Choi et al., On Empirical Comparisons of Optimizers for Deep Learning",
    "2010.07468": "Zhuang et al., AdaBelief Optimizer",
    "2205.10287": "Malladi et al., SDEs and Scaling Rules for Adaptive Gradient Algorithms",
    "2208.06677": "Xie et al., Adan: Adaptive Nesterov Momentum Algorithm",
    "2302.06675": "Chen et al., Symbolic Discovery of Optimization Algorithms (Lion)",
    "2304.13013": "Wortsman et al., Stable and low-precision training (StableAdamW)",
    "2305.17212": "Kosson, Messmer & Jaggi, Rotational Equilibrium",
    "2310.04415": "D'Angelo et al., Why Do We Need Weight Decay in Modern Deep Learning?",
    "2311.09058": "Franke et al., Constrained Parameter Regularization",
    "2405.13698": "Wang & Aitchison, How to set AdamW's weight decay as you scale",
    "2405.15682": "Defazio et al., The Road Less Scheduled",
    "2409.03137": "Pagliardini, Ablin & Grangier, The AdEMAMix Optimizer",
    "2409.11321": "Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam",
    "2411.02853": "Taniguchi et al., ADOPT",
    "2411.10438": "Yuan et al., MARS: Unleashing the Power of Variance Reduction",
    "2411.16085": "Liang et al., Cautious Optimizers",
    "2412.17107": "Cao, Li & Song, Grams: Gradient Descent with Adaptive Momentum Scaling",
    "2502.16982": "Liu et al., Muon is Scalable for LLM Training",
    "2505.01618": "Dey et al., CompleteP",
    "2505.13738": "Bergsma et al., Power Lines",
    "2506.02285": "Defazio, Why Gradients Rapidly Increase Near the End of Training (AdamC)",
    "2509.14786": "Kim et al., Pre-training under infinite compute",
    "2510.05491": "Li et al., NorMuon",
    "2510.12402": "Chen et al., Cautious Weight Decay",
    "2510.15262": "Fan et al., Robust Layerwise Scaling Rules by Proper Weight Decay Tuning",
    "2510.19093": "Kosson et al., Weight Decay may matter more than muP",
    "2512.22382": "Mlodozeniec et al., Completed Hyperparameter Transfer",
}
"""By their numbers at arXiv."""

ADDRESSES = {
    "https://pypi.org/project/prodigyopt/",
    "https://pypi.org/project/pytorch_optimizer/",
    "https://keepachangelog.com/en/1.1.0/",
    "https://semver.org/spec/v2.0.0.html",
}
"""Other than arXiv's."""


def read(file: Path) -> str:
    """In one line: some docstrings break a citation."""
    return " ".join(file.read_text(encoding="utf-8").split())


def test_every_paper_that_is_cited_was_looked_up() -> None:
    cited = {
        number
        for file in CITING
        for number in re.findall(r"(?:arXiv[: ]|arxiv\.org/\w+/)(\d+\.\d+)", read(file))
    }
    assert cited == PAPERS.keys()


def test_every_address_was_looked_up() -> None:
    found = {
        address.rstrip(".,;")
        for file in CITING
        for address in re.findall(r"https?://[^\s)>\"'`{]+", read(file))
    }
    assert {one for one in found if "//arxiv.org/abs/" not in one} == ADDRESSES
