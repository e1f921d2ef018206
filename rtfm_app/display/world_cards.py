"""How the start screen shows a world (a card, or the banner of the last one), and its menu."""

from __future__ import annotations

from dataclasses import dataclass

from imgui_bundle import imgui

from . import theme
from .catalogue import Card
from .state import DeleteFile, NoteFile, RenameFile, SalvageFile
from .textures import TextureCache
from .theme import ICONS, em

CARD_WIDTH = 18.0
BANNER_HEIGHT = 15.0


@dataclass
class StartView:
    """What is being typed about a world of the user's."""

    name: str = ""
    notes: str = ""


def draw_banner(card: Card, width: float, textures: TextureCache) -> bool:
    """True when it was chosen."""
    height, rounding = em(BANNER_HEIGHT), em(0.5)
    imgui.begin_group()
    corner = imgui.get_cursor_screen_pos()
    imgui.set_next_item_allow_overlap()
    pressed = imgui.invisible_button(card.key, (width, height), imgui.ButtonFlags_.enable_nav)
    hovered = imgui.is_item_hovered() or imgui.is_item_focused()
    if imgui.is_item_hovered():
        imgui.set_mouse_cursor(imgui.MouseCursor_.hand)
    draw = imgui.get_window_draw_list()
    end = (corner.x + width, corner.y + height)
    draw.add_rect_filled(corner, end, theme.color(theme.RAISED), rounding)
    if card.thumbnail is not None:
        rows, columns = card.thumbnail.shape[:2]
        cut = max(0.5 - 0.5 * height / width * columns / rows, 0.0)
        texture = textures.get(card.key, card.thumbnail)
        draw.add_image_rounded(texture, corner, end, (0, cut), (1, 1 - cut), 0xFFFFFFFF, rounding)
    dark, clear = (theme.color(theme.BACKGROUND, alpha) for alpha in (0.92, 0.0))
    middle = (corner.x + min(width * 0.62, em(40)), end[1])
    draw.add_rect_filled_multi_color(corner, middle, dark, clear, clear, dark)
    text_x, size = corner.x + em(1.6), em(theme.TITLE_SIZE / theme.FONT_SIZE)
    title = theme.fit_text(card.title, width * 0.25)
    at = (text_x, end[1] - em(7.6))
    draw.add_text(imgui.get_font(), size, at, theme.color(theme.TEXT), title)
    draw.add_text((text_x, end[1] - em(4.9)), theme.color(theme.DIM), card.detail)
    _banner_label((text_x, end[1] - em(3.3)), hovered)
    if hovered:
        draw.add_rect(corner, end, theme.color(theme.ACCENT, 0.9), rounding, em(0.12))
    imgui.end_group()
    if card.notes:
        theme.tooltip(card.notes)
    return pressed


def _banner_label(corner: tuple[float, float], hovered: bool) -> None:
    """What a click does; the whole banner is the button."""
    label = f"{ICONS.ICON_FA_PLAY}   Walk on"
    draw, size = imgui.get_window_draw_list(), imgui.calc_text_size(label)
    end = (corner[0] + size.x + em(1.6), corner[1] + em(2.0))
    fill = theme.PRIMARY_HOVER if hovered else theme.ACCENT_DIM
    draw.add_rect_filled(corner, end, theme.color(fill), em(0.33))
    place = (corner[0] + em(0.8), corner[1] + em(1.0) - size.y / 2)
    draw.add_text(place, theme.color(theme.TEXT), label)


def card_height() -> float:
    return em(CARD_WIDTH) * 9 / 16 + em(3.3)


def draw_card(card: Card, textures: TextureCache) -> bool:
    """One world; True when it was chosen."""
    width, height = em(CARD_WIDTH), card_height()
    picture_height = width * 9 / 16
    imgui.begin_group()
    corner = imgui.get_cursor_screen_pos()
    size, flags = (width, height), imgui.ButtonFlags_.enable_nav
    imgui.set_next_item_allow_overlap()
    pressed = imgui.invisible_button(card.key, size, flags)
    hovered = imgui.is_item_hovered() or imgui.is_item_focused()
    if imgui.is_item_hovered():
        imgui.set_mouse_cursor(imgui.MouseCursor_.hand)
    draw = imgui.get_window_draw_list()
    end = (corner.x + width, corner.y + height)
    rounding = em(0.5)
    draw.add_rect_filled(
        corner, end, theme.color(theme.HOVER if hovered else theme.RAISED, 0.75), rounding
    )
    picture_end = (end[0], corner.y + picture_height)
    top = imgui.ImDrawFlags_.round_top
    if card.thumbnail is not None:
        texture = textures.get(card.key, card.thumbnail)
        draw.add_image_rounded(
            texture, corner, picture_end, (0, 0), (1, 1), 0xFFFFFFFF, rounding, top
        )
    else:
        draw.add_rect_filled(corner, picture_end, theme.color(theme.PANEL), rounding, top)
        if card.problem:
            middle = (corner.x + width / 2 - em(0.6), corner.y + picture_height / 2 - em(0.5))
            draw.add_text(middle, theme.color(theme.WARNING), ICONS.ICON_FA_TRIANGLE_EXCLAMATION)
    text_x = corner.x + em(0.75)
    title = theme.fit_text(card.title, width - em(1.5))
    draw.add_text((text_x, corner.y + picture_height + em(0.5)), theme.color(theme.TEXT), title)
    detail = theme.fit_text(card.detail, width - em(1.5))
    tint = theme.WARNING if card.problem else theme.DIM
    draw.add_text((text_x, corner.y + picture_height + em(1.75)), theme.color(tint), detail)
    if hovered:
        draw.add_rect(corner, end, theme.color(theme.ACCENT, 0.9), rounding, em(0.12))
    told = card.problem or card.credit or card.notes
    if told:
        theme.tooltip(told)
    imgui.end_group()
    return pressed


def card_menu(card: Card, view: StartView) -> list:
    """The button at the card's lower right corner, and what it opens (so does a right click)."""
    requests: list = []
    menu = f"{card.key}/menu"
    if imgui.is_item_clicked(imgui.MouseButton_.right):
        imgui.open_popup(menu)
    end = imgui.get_item_rect_max()
    imgui.set_cursor_screen_pos((end.x - em(2.1), end.y - em(2.5)))
    imgui.push_style_color(imgui.Col_.button, (*theme.RAISED[:3], 0.6))  # a banner may be bright
    if imgui.button(f"{ICONS.ICON_FA_ELLIPSIS}##{card.key}", (em(1.8), em(1.6))):
        imgui.open_popup(menu)
    imgui.pop_style_color()
    if not imgui.begin_popup(menu):
        return requests
    requests += _mending(card) if card.problem else _naming(card, view)
    imgui.separator()
    if imgui.button(f"{ICONS.ICON_FA_TRASH}  Throw away"):
        requests.append(DeleteFile(card.path))
    theme.tooltip("It lies in the folder .trash for a month and can be brought back.")
    if requests:
        imgui.close_current_popup()
    imgui.end_popup()
    return requests


def _mending(card: Card) -> list:
    """What can be done about a world that cannot be opened."""
    imgui.push_text_wrap_pos(em(20))
    theme.text(card.problem, theme.WARNING)
    imgui.pop_text_wrap_pos()
    label = f"{ICONS.ICON_FA_KIT_MEDICAL}  Save what is sound as a new world"
    return [SalvageFile(card.path)] if imgui.button(label) else []


def _naming(card: Card, view: StartView) -> list:
    requests: list = []
    if imgui.is_window_appearing():
        view.name, view.notes = card.path.stem, card.notes
    theme.text("Name", theme.DIM)
    imgui.set_next_item_width(em(15))
    flags = imgui.InputTextFlags_.enter_returns_true
    entered, view.name = imgui.input_text("##name", view.name, flags)
    imgui.same_line()
    if imgui.button("Rename") or entered:
        requests.append(RenameFile(card.path, view.name))
    theme.text("Notes", theme.DIM)
    _, view.notes = imgui.input_text_multiline("##notes", view.notes, (em(15), em(4)))
    imgui.same_line()
    imgui.begin_disabled(view.notes == card.notes)
    if imgui.button("Keep"):
        requests.append(NoteFile(card.path, view.notes))
    imgui.end_disabled()
    return requests
