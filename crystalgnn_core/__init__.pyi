from .config import PipelineConfig as PipelineConfig
from .config import load_config as load_config
from .screening.prediction import predict as predict
