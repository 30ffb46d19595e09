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
from geoae.model.card import list_shipped_models as list_shipped_models
from geoae.model.contract import AnyContract as AnyContract
from geoae.model.denoiser import Denoiser as Denoiser
from geoae.model.loading import load_model as load_model
from geoae.model.model import Model as Model
from geoae.model.roles import make_model as make_model
from geoae.model.roles import require_contract as require_contract
from geoae.model.roles import require_role as require_role
from geoae.model.threads import use_one_thread as use_one_thread

__getattr__ = moved_names(__name__)
