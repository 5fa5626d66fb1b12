"""Runs the test suite that the Python lightbeam brings along, unchanged, against the binary.

The suite calls methods of the Python's objects. Here each of them only runs a command line, `lightbeam` on the PATH, with what the suite has
set before. What the suite expects stands in the suite and in the folder of tests that tests/it/peer.rs makes for it:

    run_suite.py CONFIGURATION FOLDER
"""

import subprocess
import sys

from lightbeam.tests.suite import run_test_suite


class Program:
    """What the suite takes for a Lightbeam, with its Counter, Fetcher and so on in one."""

    selector = drop_keys = results_file = ""

    def __init__(self, config_file):
        self.config_file = config_file
        self.api = self.counter = self.fetcher = self.validator = self.sender = self.deleter = self.truncator = self

    def prepare(self):
        """A command line prepares itself."""

    def run(self, command):
        line = ["lightbeam", command, "-c", self.config_file, "-s", self.selector]
        line += ["-d", self.drop_keys] if self.drop_keys else []
        line += ["--results-file", self.results_file] if self.results_file else []
        print(*line, flush=True)
        subprocess.run(line, check=True)

    def count(self):
        self.run("count")

    def fetch(self):
        self.run("fetch")

    def validate(self):
        self.run("validate")

    def send(self):
        self.run("send")

    def delete(self):
        self.run("delete")

    def truncate(self):
        self.run("truncate")


class Logger:
    """As for the Python, a critical message is the end."""

    def info(self, message):
        print(message, flush=True)

    def critical(self, message):
        sys.exit(message)


config_file, folder = sys.argv[1:]
if not run_test_suite(folder, Program(config_file), Logger()):
    sys.exit("the suite did not come to its end")
