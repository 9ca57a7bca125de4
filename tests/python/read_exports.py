"""Exports of the audit log as other people's parsers read them.

usage: read_exports.py cef|syslog FILE    prints a JSON list of what each line says
"""

import json
import re
import sys
from pathlib import Path

import pycef
from syslog_rfc5424_parser import SyslogMessage


# Both split a line as the standards say, and leave the escapes within a value to their callers.
def cef(line):
    fields = pycef.parse(line)
    meaning = {"\\\\": "\\", "\\=": "=", "\\n": "\n", "\\r": "\r"}
    return {k: re.sub(r"\\[\\=nr]", lambda m: meaning[m[0]], v) for k, v in fields.items()}


def syslog(line):
    message = SyslogMessage.parse(line).as_dict()
    for element in message["sd"].values():
        for name, value in element.items():
            element[name] = re.sub(r'\\(["\\\]])', r"\1", value)
    return message


parse = {"cef": cef, "syslog": syslog}[sys.argv[1]]
# Only a line feed ends a line: other characters that Python takes for one may stand in a text.
lines = Path(sys.argv[2]).read_bytes().decode("utf-8").split("\n")
assert lines.pop() == ""
print(json.dumps([parse(line) for line in lines]))
