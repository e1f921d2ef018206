"""What the user has to answer: a choice, a path where there is no file dialog, a stopped model."""

from __future__ import annotations

from imgui_bundle import imgui

from .. import messages as m
from . import theme
from .floating import FLAGS, place, shade_the_rest
from .state import AnswerQuestion, AppState, Choose, RestartWorker, ShowStart
from .theme import em


def draw_choice(state: AppState) -> list:
    """A question with buttons; Escape is Cancel."""
    choice = state.choice
    if choice is None:
        return []
    requests: list = []
    place(0.5, 0.4)
    imgui.begin("##choice", None, FLAGS & ~imgui.WindowFlags_.no_nav)
    shade_the_rest()
    if imgui.is_window_appearing():
        imgui.set_window_focus()
    theme.sized_text(theme.fit_text(choice.title, em(22)), theme.HEADING_SIZE)
    imgui.push_text_wrap_pos(em(32))
    theme.text(choice.text, theme.DIM)
    imgui.pop_text_wrap_pos()
    imgui.dummy((0, em(0.2)))
    for number, (label, request) in enumerate(choice.answers):
        if number:
            imgui.same_line()
        if theme.primary_button(label) if number == 0 else imgui.button(label):
            requests.append(Choose(request))
    imgui.same_line()
    if imgui.button("Cancel") or imgui.is_key_pressed(imgui.Key.escape):
        requests.append(Choose(None))
    imgui.end()
    return requests


def draw_failure(state: AppState) -> list:
    """The model process has ended: say so, offer to go on."""
    failure: m.WorkerFailed | None = state.failure
    if failure is None:
        return []
    requests: list = []
    place(0.5, 0.5)
    imgui.begin("##failure", None, FLAGS & ~imgui.WindowFlags_.no_nav)
    shade_the_rest()
    if imgui.is_window_appearing():
        imgui.set_window_focus()
        imgui.set_keyboard_focus_here()
    theme.sized_text("The model has stopped", theme.HEADING_SIZE, theme.ERROR)
    imgui.push_text_wrap_pos(em(30))
    imgui.text_unformatted(failure.message)
    theme.text("The world is safe on disk. Start the model again to go on from here.", theme.DIM)
    imgui.pop_text_wrap_pos()
    imgui.dummy((0, em(0.2)))
    if theme.primary_button("Start again", (em(8), 0)):
        requests.append(RestartWorker())
    imgui.same_line()
    if imgui.button("Other worlds", (em(8), 0)):
        requests += [RestartWorker(), ShowStart()]
    if failure.detail:
        imgui.same_line()
        if imgui.button("Copy details", (em(8), 0)):
            imgui.set_clipboard_text(failure.detail)
    imgui.end()
    return requests


QUESTIONS = {
    "picture": ("Which picture?", "Its path: JPEG, PNG or WebP. You can also drop it here."),
    "video": ("Which video?", "Its path: MP4, MOV or another. You can also drop it here."),
    "folder": ("Which folder?", "Its path: a transforms.json or pictures are in it."),
    "copy": ("Copy to which file?", "The path of the new world file."),
}


def draw_question(state: AppState) -> list:
    """Ask for a path, where the system has no file dialog."""
    question = state.question
    if question is None:
        return []
    requests: list = []
    place(0.5, 0.4)
    imgui.begin("##question", None, FLAGS & ~imgui.WindowFlags_.no_nav)
    shade_the_rest()
    title, text = QUESTIONS.get(question.purpose, QUESTIONS["copy"])
    theme.sized_text(title, theme.HEADING_SIZE)
    theme.text(text, theme.DIM)
    imgui.set_next_item_width(em(30))
    if imgui.is_window_appearing():
        imgui.set_keyboard_focus_here()
    entered, question.text = imgui.input_text(
        "##path", question.text, imgui.InputTextFlags_.enter_returns_true
    )
    if theme.primary_button("OK", (em(6), 0)) or entered:
        requests.append(AnswerQuestion(question.text.strip()))
    imgui.same_line()
    if imgui.button("Cancel", (em(6), 0)) or imgui.is_key_pressed(imgui.Key.escape):
        requests.append(AnswerQuestion(None))
    imgui.end()
    return requests
