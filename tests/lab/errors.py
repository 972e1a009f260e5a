# SPDX-License-Identifier: Apache-2.0
"""The errors of a lab, for its user."""


class LabError(Exception):
    """The lab could not be started, has ended, or cannot do what was asked."""


class Unavailable(LabError):
    """Something that is missing and not available, so that the lab cannot exist; the text says what to do."""
