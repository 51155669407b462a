"""A real OpenAI-compatible server on loopback that names cities: by the request's seed."""

from chat_server import ChatServer

KEY = "sk-loopback-0987654321fedcba"
CITIES = ("Paris", "Oslo", "Lima", "Bern")
# Of 8 seeds 5 say the first: top share 5/8.
BY_SEED = (0, 0, 0, 0, 0, 1, 2, 3)


class AnswerServer(ChatServer):
    """Keeps what it was asked.

    Attributes:
        paid: Bodies of requests that were answered.
        say: Body of a request -> what is said, where it is not a city.
    """

    key = KEY

    def __init__(self):
        super().__init__()
        self.paid, self.say = [], None

    def record(self, body):
        self.paid.append(body)

    def message(self, body):
        earlier = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        content = CITIES[BY_SEED[body["seed"] % 8]]
        if earlier:  # in a conversation it goes through its cities in turn
            content = CITIES[(CITIES.index(earlier[-1]) + 1) % 4]
        if self.say is not None:
            content = self.say(body)
        return content, {"logprobs": {"content": [{"token": content, "logprob": -0.5}]}}


def answer_server():
    """A running server, until the block ends."""
    return AnswerServer().running()
