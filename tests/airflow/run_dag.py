"""Runs lightbeam in DAGs of a real Airflow, as the Ed-Fi operators for Airflow do, and says how each task ended.

Reads one JSON object a line from standard input: {"commands": ["validate", ...], "options": {"selector": ["students"], "force": true, ...},
"environment": {"DATA_DIR": ...}}. Runs a DAG of these commands one after the other and then a task that loads the results file. Answers
with one line: {"states": {task: state}, "xcoms": {task: value}}. Expects nothing: what has to come out stands in tests/it/airflow.rs.
"""

import datetime
import json
import os
import sys

# Airflow logs to standard output as well, which the answers need for themselves.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

from airflow import DAG  # noqa: E402 (after the redirection)
from airflow.operators.bash import BashOperator  # noqa: E402
from airflow.operators.python import PythonOperator  # noqa: E402


class LightbeamOperator(BashOperator):
    """One command. All options go to every command, flags are bare, everything else stands in single quotes."""

    def __init__(self, *, command, options, environment, **kwargs):
        words = ["lightbeam", command]
        for name, value in options.items():
            words.append("--" + name.replace("_", "-"))
            if value is not True:
                words.append(f"'{self.text(value)}'")
        line = " ".join(words)
        super().__init__(bash_command=line, env=environment, append_env=True, skip_on_exit_code=99, **kwargs)

    @staticmethod
    def text(value):
        if isinstance(value, dict):
            return json.dumps(value)
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def load(results_file):
    """Reads the results file as the task does that writes rows of it into a warehouse."""
    with open(results_file) as file:
        results = json.load(file)
    rows = []
    for resource, counts in results["resources"].items():
        row = [resource, counts["records_processed"], counts["records_skipped"], counts["records_failed"]]
        failures = counts.get("failures", [])
        rows.append(row + [[[f["count"], f["message"], f["line_numbers"]] for f in failures]])
    return rows


def dag_run(number, request):
    """Runs the DAG of a request to its end."""
    with DAG(f"district_{number}", start_date=datetime.datetime(2025, 8, 1), schedule=None) as dag:
        before = None
        for command in request["commands"]:
            environment = request["environment"]
            task = LightbeamOperator(
                task_id=command.replace("+", "_and_"),
                command=command,
                options=request["options"],
                environment=environment,
            )
            if before:
                before >> task
            before = task
        if "results_file" in request["options"]:
            before >> PythonOperator(task_id="load", python_callable=load, op_args=[request["options"]["results_file"]])
    tasks = dag.test().get_task_instances()
    return {
        "states": {task.task_id: task.state for task in tasks},
        "xcoms": {task.task_id: task.xcom_pull(task_ids=task.task_id) for task in tasks},
    }


for number, line in enumerate(sys.stdin):
    print(json.dumps(dag_run(number, json.loads(line))), file=answers)
