"""waitress's fixture applications, with what waitress adds to environ and its echo application asks for."""

from tests.fixtureapps import badcl, echo, error, error_traceback, filewrapper, nocl, sleepy, toolarge, writecb


def with_remote_host(application):
    def call(environ, start_response):
        environ.setdefault("REMOTE_HOST", environ["REMOTE_ADDR"])
        return application(environ, start_response)

    return call


APPLICATIONS = {
    **{
        module.__name__: module.app for module in [badcl, error, error_traceback, filewrapper, nocl, sleepy, toolarge, writecb]
    },
    echo.__name__: with_remote_host(echo.app),
    echo.__name__ + "_body_only": echo.app_body_only,
}
globals().update({name.rpartition(".")[2]: application for name, application in APPLICATIONS.items()})
