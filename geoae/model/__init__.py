"""Models: a net with its scaler, contract and digest, saved as data and loaded strictly; numpy in, numpy out."""

from geoae.deprecated.paths import moved_names
from geoae.model.card import CARD as CARD
from geoae.model.card import COMPANIONS as COMPANIONS
from geoae.model.card import DEFAULT as DEFAULT
from geoae.model.card import FORMAT as FORMAT
from geoae.model.card import README as README
from geoae.model.card import WEIGHTS as WEIGHTS
from geoae.model.card import describe_model as describe_model
from geoae.model.card import find_model as find_model
from geoae.model.card import shipped as shipped
from geoae.model.contract import AnyContract as AnyContract
from geoae.model.denoiser import Denoiser as Denoiser
from geoae.model.loading import load_model as load_model
from geoae.model.model import Model as Model
from geoae.model.roles import as_role as as_role
from geoae.model.roles import contract_of as contract_of
from geoae.model.roles import make_model as make_model
from geoae.model.threads import one_thread as one_thread

__getattr__ = moved_names(__name__)
