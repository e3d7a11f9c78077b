from .history import plot_history as plot_history
from .report import StageNote as StageNote
from .screen import ReportState as ReportState
from .screen import report_screen as report_screen
