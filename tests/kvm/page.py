# SPDX-License-Identifier: Apache-2.0
"""An HTML page of mayfly bench: its tags, each of which has to be closed."""
import html.parser

from harness import check


class Page(html.parser.HTMLParser):
    VOID = {"meta", "br", "link"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        self.close()
        check(not self.open, f"these are not closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}")
        self.open.pop()
