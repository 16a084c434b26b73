"""How much can it carry? The storefront's mix in rising steps of rate, up to --rate.

    loadtests capacity                                           climbs, stops in time, answers
    locust -f scenarios/capacity.py --headless --rate 2000       one climb to the end, then judged

With both backends they climb one after the other.
"""

import storefront

from loadtests.load.locust.capacity import CapacityRamp


class CapacityUser(CapacityRamp, storefront.StorefrontUser):
    """All nine access patterns, in the storefront's shares."""
