"""A tenant's settings."""

import msgspec
import pytest

from membrane.settings import TenantSettings, zone_of


def test_a_tenant_that_sets_nothing_is_opt_out_in_english_and_utc():
    settings = TenantSettings()
    assert (settings.consent, settings.language, settings.timezone) == ("opt_out", "en", "UTC")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "America"])
def test_a_time_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match="IANA name"):
        TenantSettings(timezone=name)


def test_a_zone_is_found_by_its_name():
    zone = zone_of("America/Bogota")
    assert zone is not None
    assert zone.key == "America/Bogota"


@pytest.mark.parametrize(
    "body", [b'{"consent": "maybe"}', b'{"langauge": "es"}', b'{"timezone": "Nowhere"}', b'{"lapse": "never"}']
)
def test_settings_from_json_are_checked(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=TenantSettings)
