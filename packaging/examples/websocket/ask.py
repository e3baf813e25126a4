#!/usr/bin/python3
"""Sends a message to a websocket and prints the answer: ask.py ws://HOST:PORT TEXT."""
import asyncio
import sys

import websockets  # Debian: python3-websockets


async def ask(where, text):
    async with websockets.connect(where) as socket:
        await socket.send(text)
        return await socket.recv()


print(asyncio.run(ask(*sys.argv[1:])))
