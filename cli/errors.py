"""One clear line for what can go wrong, and its exit code."""

from broker.errors import BrokerError
from db.migrate import WrongSchema
from db.session import DatabaseUnavailable
from domain.calendar import OutsideCalendar
from domain.rates import NoRates
from tasks.settings import BadSettings


class CannotRun(RuntimeError):
    """Something outside is not as it must be; the text names it and the remedy."""


#: Errors that are told in one line, without a traceback.
TOLD = (
    BadSettings,
    BrokerError,
    CannotRun,
    DatabaseUnavailable,
    NoRates,
    OutsideCalendar,
    WrongSchema,
)
EXIT_CANNOT_RUN = 2
