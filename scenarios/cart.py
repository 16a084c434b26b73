"""The cart under load: get, get one line, add, update, remove, on DynamoDB and on PostgreSQL.

    locust -f scenarios/cart.py                                web UI
    locust -f scenarios/cart.py --headless --run-time 60s      in the terminal

Arrivals come by schedule (--rate a second on each backend), whatever the database does.
"""

from loadtests.load.plugin import OpenLoopUser, access_pattern, store
from loadtests.stores import CartStore


class CartUser(OpenLoopUser):
    """Each method makes one call; `share` is its part of the arrivals."""

    carts: CartStore = store()

    @access_pattern("cart.get", share=30)
    def get(self) -> None:
        cart = self.cart_work.any_cart()
        writes = cart.writes
        lines = self.call(self.carts.get, cart.user_id)
        cart.check(lines, writes)

    @access_pattern("cart.get_item", share=18)
    def get_item(self) -> None:
        cart, book_id = self.cart_work.any_line()
        writes = cart.writes
        line = self.call(self.carts.get_item, cart.user_id, book_id)
        cart.check_line(line, book_id, writes)

    @access_pattern("cart.add", share=20)
    def add(self) -> None:
        cart, book = self.cart_work.to_add()
        with cart:
            quantity = self.call(self.carts.add, cart.user_id, book, 1, self.now())
            self.cart_work.was_added(cart, book.book_id, quantity)

    @access_pattern("cart.update", share=16)
    def update(self) -> None:
        cart, book_id = self.cart_work.any_line()
        quantity = self.cart_work.quantity()
        with cart:
            self.call(self.carts.update, cart.user_id, book_id, quantity, self.now())
            cart.lines[book_id] = quantity

    @access_pattern("cart.remove", share=16)
    def remove(self) -> None:
        cart, book_id = self.cart_work.to_remove()
        with cart:
            self.call(self.carts.remove, cart.user_id, book_id)
            self.cart_work.was_removed(cart, book_id)
