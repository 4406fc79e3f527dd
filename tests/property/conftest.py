"""How long an example takes is no law: two busy cores must not fail a true one. Examples are new in
every run, in continuous integration too: a failing one is printed with how to repeat it."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=False,
    print_blob=True,
)
settings.load_profile("laws")
