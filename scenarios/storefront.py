"""The whole storefront: carts and sessions together, in one stream of arrivals.

locust -f scenarios/storefront.py --headless --run-time 60s
"""

import cart
import session


class StorefrontUser(cart.CartUser, session.SessionUser):
    """All nine access patterns, in the shares the two scenarios give them."""
