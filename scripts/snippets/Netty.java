// Listens on the first port with the snippet; connects to the second with the same as options of a client.
import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;

final class Netty {
    public static void main(String[] words) throws Exception {
        var group = new EpollEventLoopGroup(1);
        server(group, Integer.parseInt(words[0]));
        client(group, Integer.parseInt(words[1]));
    }

    static void server(EpollEventLoopGroup group, int port) throws Exception {
        var bootstrap = new ServerBootstrap().group(group).channel(EpollServerSocketChannel.class)
            .childHandler(new ChannelInboundHandlerAdapter() {
                @Override
                public boolean isSharable() {
                    return true;
                }
            });
@SERVER@
        bootstrap.bind("127.0.0.1", port).sync();
    }

    static void client(EpollEventLoopGroup group, int port) throws Exception {
        var bootstrap = new Bootstrap().group(group).channel(EpollSocketChannel.class)
            .handler(new ChannelInboundHandlerAdapter());
@CLIENT@
        bootstrap.connect("127.0.0.1", port).sync();
    }
}
