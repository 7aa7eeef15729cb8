# A WebSocket echo on the `websockets` library.
import asyncio
import http
import os
import signal

from websockets.asyncio.server import serve

RELEASE = os.environ["GAPLESS_RELEASE"]


def process_request(connection, request):
    if request.path == "/healthz":
        return connection.respond(http.HTTPStatus.OK, "well\n")
    return None


def process_response(connection, request, response):
    response.headers["X-Release"] = RELEASE
    return response


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    port = int(os.environ["PORT"])
    async with serve(echo, "127.0.0.1", port, process_request=process_request, process_response=process_response,
                     compression=None):
        await stop


asyncio.run(main())
