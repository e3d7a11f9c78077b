"""The file for the lines of a scheduled flow run."""

import logging

from deployments.run_logs import FOLDER, write_run_log


def test_a_log_is_written_although_the_folder_was_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "logs"))
    monkeypatch.setenv("PREFECT__DEPLOYMENT_NAME", "rescreen-1234")
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        write_run_log()
        logging.getLogger("crystalgnn_core").warning("a line")
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()
    [path] = (tmp_path / "logs").glob("*-rescreen.log")
    assert "WARNING a line" in path.read_text()
