# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a lab, for whoever started it."""


class LabError(Exception):
    """The lab could not be started, has ended, or cannot do what was asked."""


class Unavailable(LabError):
    """Something that is not here and cannot be had, so that there can be no lab; the text says what to do."""
