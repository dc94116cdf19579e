"""The Chat page: conversations with a model and its adapters, with every turn kept."""

from fmstudio.ui.pages.chat.page import ChatPage

__all__ = ["ChatPage"]
