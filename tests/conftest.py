"""What every test shares: Hypothesis settings that do not depend on how busy the machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile("membrane", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("membrane")
