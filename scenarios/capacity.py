"""The capacity run: the storefront's mix in rising steps of rate, up to --rate.

    loadtests capacity                                       ends at the first failed step
    locust -f scenarios/capacity.py --headless --rate 2000   makes all steps, then judges

With both backends, one is measured after the other.
"""

import storefront

from loadtests.load.locust.capacity import CapacityRamp


class CapacityUser(CapacityRamp, storefront.StorefrontUser):
    """All nine access patterns, in the storefront's shares."""
