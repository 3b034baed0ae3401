"""Pages for signing in and for one's own account.

Only these views of allauth are mounted; the URL names are allauth's.
"""

from django.contrib import admin
from django.urls import path
from django.views.decorators.http import require_POST

from medtrack.console.sign_in import views as sign_in
from medtrack.console.staff.invitation_pages import invitation_page

urlpatterns = [
    path("login/", sign_in.log_in, name="account_login"),
    path("logout/", require_POST(admin.site.logout), name="account_logout"),
    path("login/code/", sign_in.enter_code, name="mfa_authenticate"),
    path("invitation/", invitation_page, name="invitation"),
    path("account/", sign_in.my_account, name="mfa_index"),
    path("account/again/", sign_in.enter_code_again, name="mfa_reauthenticate"),
    path("account/again/passkey/", sign_in.use_passkey_again, name="mfa_reauthenticate_webauthn"),
    path("account/app/", sign_in.set_up_app, name="mfa_activate_totp"),
    path("account/app/remove/", sign_in.remove_app, name="mfa_deactivate_totp"),
    path("account/passkeys/", sign_in.list_passkeys, name="mfa_list_webauthn"),
    path("account/passkeys/add/", sign_in.add_passkey, name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/", sign_in.rename_passkey, name="mfa_edit_webauthn"),
    path("account/passkeys/<int:pk>/remove/", sign_in.remove_passkey, name="mfa_remove_webauthn"),
    path("account/recovery-codes/", sign_in.recovery_codes_page, name="mfa_view_recovery_codes"),
    path("account/recovery-codes/new/", sign_in.make_recovery_codes, name="mfa_generate_recovery_codes"),
    path(
        "account/recovery-codes/download/",
        sign_in.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
]
