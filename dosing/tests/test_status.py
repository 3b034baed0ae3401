from dosing.management.commands.draw_dose_status import FILE, page


def test_the_picture_in_the_docs_is_that_of_the_table() -> None:
    assert FILE.read_text() == page(), "run manage.py draw_dose_status"
