"""The named optimizers for type checkers; written by `make names`."""

# ruff: noqa: I001
from unyoke.optimizers.adadelta import AdadeltaW as AdadeltaW
from unyoke.optimizers.adadelta import Adadelta as Adadelta
from unyoke.optimizers.adagrad import AdagradW as AdagradW
from unyoke.optimizers.adagrad import Adagrad as Adagrad
from unyoke.optimizers.adam import AdamW as AdamW
from unyoke.optimizers.adam import Adam as Adam
from unyoke.optimizers.adam import AMSGradW as AMSGradW
from unyoke.optimizers.adam import AMSGrad as AMSGrad
from unyoke.optimizers.adamax import AdamaxW as AdamaxW
from unyoke.optimizers.adamax import Adamax as Adamax
from unyoke.optimizers.ademamix import AdEMAMixW as AdEMAMixW
from unyoke.optimizers.ademamix import AdEMAMix as AdEMAMix
from unyoke.optimizers.bayes import AdaBayes as AdaBayes
from unyoke.optimizers.bayes import AdaBayesFP as AdaBayesFP
from unyoke.optimizers.layerwise import LambW as LambW
from unyoke.optimizers.layerwise import LarsW as LarsW
from unyoke.optimizers.lion import LionW as LionW
from unyoke.optimizers.lion import Lion as Lion
from unyoke.optimizers.muon import MuonW as MuonW
from unyoke.optimizers.muon import Muon as Muon
from unyoke.optimizers.nadam import NAdamW as NAdamW
from unyoke.optimizers.nadam import NAdam as NAdam
from unyoke.optimizers.nd_adam import NDAdam as NDAdam
from unyoke.optimizers.radam import RAdamW as RAdamW
from unyoke.optimizers.radam import RAdam as RAdam
from unyoke.optimizers.rmsprop import RMSpropW as RMSpropW
from unyoke.optimizers.rmsprop import RMSprop as RMSprop
from unyoke.optimizers.sgd import SGDW as SGDW
from unyoke.optimizers.sgd import SGD as SGD
