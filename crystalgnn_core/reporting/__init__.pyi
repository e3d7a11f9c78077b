from .notes import StageNote as StageNote
from .screen import ReportState as ReportState
from .screen import report_screen as report_screen
from .training import plot_history as plot_history
