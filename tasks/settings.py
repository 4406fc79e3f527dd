"""What the environment decides: where the database, the broker and the folders are."""

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class BadSettings(ValueError):
    """A setting that is missing or wrong; one line that names it and the remedy."""


class Settings(BaseSettings):
    """Read from the environment and from .env in the repository; see .env.example."""

    model_config = SettingsConfigDict(env_file=ROOT / ".env", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    broker_url: str | None = Field(default=None, validation_alias="STRIKEFLOW_BROKER_URL")
    key_id: SecretStr | None = Field(default=None, validation_alias="APCA_API_KEY_ID")
    secret_key: SecretStr | None = Field(default=None, validation_alias="APCA_API_SECRET_KEY")
    is_live: bool = Field(default=False, validation_alias="STRIKEFLOW_LIVE")
    config: Path = Field(default=ROOT / "config", validation_alias="STRIKEFLOW_CONFIG")
    home: Path = Field(default=ROOT / ".strikeflow", validation_alias="STRIKEFLOW_HOME")

    def required_database_url(self) -> str:
        if self.database_url is None:
            raise BadSettings(
                "DATABASE_URL is not set: ./strikeflow up starts a database of its own, "
                "or set it to postgresql://user:password@host:5432/strikeflow"
            )
        return self.database_url.get_secret_value()

    def required_keys(self) -> tuple[str, str]:
        if self.key_id is None or self.secret_key is None:
            raise BadSettings(
                "APCA_API_KEY_ID and APCA_API_SECRET_KEY are not both set: "
                "put the account's keys into .env"
            )
        return self.key_id.get_secret_value(), self.secret_key.get_secret_value()


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once. BadSettings names a wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadSettings(f"{first['loc'][0]} is wrong: {first['msg']}") from None
